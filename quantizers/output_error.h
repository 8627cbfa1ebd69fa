// What rounding the weights of a layer does to its results, from the second moments of its inputs.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/gemm.h"
#include "quantizers/layer_inputs.h"

namespace qb {

/// The mean products E[x[i] x[j]] of one group's inputs, float32 [k, k]; zeros when nothing was seen.
struct MeanProducts {
  MeanProducts(const LayerInputs& inputs, std::size_t group, std::int64_t k);

  /// results [rows, width] = differences times the products of these columns. Reentrant.
  void multiply(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
                float* results) const;

  /// E[(d x)^2] for each of `rows` rows d [width] of differences at columns [begin, begin + width): d M d', row r at
  /// differences + r * width. Sums run in one order whatever the machine. Reentrant.
  void errors(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
              std::span<double> errors) const;

  std::int64_t k = 0;
  std::vector<float> values;
};

/// The same over all columns by the machine's best float kernel: an order of magnitude faster for large layers, with
/// sums whose last bits depend on its instruction sets.
class QuickProducts {
 public:
  explicit QuickProducts(const MeanProducts& products);
  void errors(const float* differences, std::span<double> errors) const;  ///< differences [errors, k]; reentrant

 private:
  /// Rows [begin, end) of the products up to column end, those before begin doubled: what symmetry leaves to compute.
  struct Strip {
    std::int64_t begin = 0, end = 0;
    PreparedMatrix products;
  };
  std::vector<Strip> strips_;
  std::int64_t k_ = 0;
};

}  // namespace qb
