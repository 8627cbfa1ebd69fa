// The optimized kernels against their references, on the very buffers that will be timed (measurement.md, rule 5).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/tensor.h"
#include "models/dataset.h"
#include "models/executor.h"

namespace qb {

struct LayerProof {
  double error = 0;  ///< largest |optimized - reference| over sum |a||w|; infinite for a result that is not finite
  double bound = 0;  ///< what rounding alone explains
};

struct Proof {
  std::vector<LayerProof> layers;   ///< as Executor::layers()
  std::size_t worst = 0;            ///< the layer with the largest error over bound
  bool repeatable = false;          ///< the same bits twice, and at 1 and at N threads
  std::string failed;               ///< why the kernels are wrong, with node, kernel, error and bound; else empty
  std::string mistrusted;           ///< why the data prove nothing; else empty
  std::vector<float> first_output;  ///< of the first batch: what timed runs must give
  double operations = 0;            ///< 2 per multiply-add of all products of one run
};

inline constexpr std::int64_t kProofSamples = 4;  ///< at least so many samples, in batches of the executor

/// Runs the first samples with an observer on every product, computes each product again with the reference kernel of
/// its family on the same packed weights and operands, and compares. `executor` runs `model` with `options`; its
/// observer is removed in the end.
Proof prove(Executor& executor, const Model& model, const ExecutorOptions& options, const Dataset& data);

/// The largest |got - wanted| / sum over t of |a[t] w[t]| of one product: `wanted` and `got` are [m, n] with row
/// strides, `weights` [n, k] real values. 0 / 0 is 0; a positive difference over a zero sum, or any value that is not
/// finite where the wanted one is, is infinite.
struct ProductCheck {
  const GemmCall* call = nullptr;
  std::int64_t n = 0, k = 0;
  const float* wanted = nullptr;
  std::int64_t wanted_stride = 0;
  const float* weights = nullptr;
};
double product_error(const ProductCheck& check);

/// The same over the results of a depthwise convolution: `wanted` lies like call.y, `weights` [n, area] real values.
double depthwise_error(const DepthwiseCall& call, const float* wanted, const float* weights);

}  // namespace qb
