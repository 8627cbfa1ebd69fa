// What flows into each layer of the float model, as second moments: what methods that learn from samples minimise over.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "models/executor.h"

namespace qb {

/// Sums over all rows x [k] that the calibration samples send into a layer: one row per sample and position.
struct LayerInputs {
  std::int64_t rows = 0;  ///< per group
  /// By group of a convolution: [k, k] sum of x[i] * x[j], row-major and symmetric. Weights [g * n / groups, ...) meet
  /// group g; there is one group unless the convolution has more.
  std::vector<std::vector<double>> moments;
  std::vector<std::vector<double>> sums;  ///< by group: [k] sum of x[i]
};

/// Rows of one group's inputs, as an executor's observer meets them.
struct InputRows {
  std::int64_t group = 0, count = 0;
  const float* values = nullptr;  ///< row r at values + r * stride
  std::int64_t stride = 0;
};
InputRows rows_of(const MatrixWeight& layer, const GemmEvent& event);
/// Channel by channel, sample by sample; rows live during the call.
void for_each_rows(const DepthwiseEvent& event, const std::function<void(const InputRows& rows)>& visit);

/// One group's rows in blocks of kRows, whatever pieces they come in: executors cut them by the number of threads.
class RowBlocks {
 public:
  static constexpr std::int64_t kRows = 256;
  using Take = std::function<void(const InputRows& block)>;

  explicit RowBlocks(std::int64_t width) : width_(width) {}
  void add(InputRows rows, const Take& take);
  void finish(const Take& take);  ///< the last block, which may be smaller

 private:
  std::int64_t width_, waiting_count_ = 0;
  std::vector<float> waiting_;
};

/// Adds x[i] * y[j] of a block to products [k, k], of which `upper` needs only those on and above the diagonal; x[i] to
/// sums. Within a block in float32, then in float64.
void add_products(const InputRows& x, const InputRows& y, std::int64_t k, bool upper, int threads,
                  std::span<double> products);
void add_sums(const InputRows& x, std::int64_t k, std::span<double> sums);

/// The sums of one layer on their way. Bits do not depend on `threads`, which bounds those that compute.
class InputSums {
 public:
  InputSums(const MatrixWeight& layer, int threads);
  void add(const InputRows& rows);
  /// To be called once. Throws DataError, naming the node, where some inputs are not finite.
  LayerInputs finish(const Model& model);

 private:
  void add_block(const InputRows& block, std::size_t group);

  MatrixWeight layer_;
  int threads_;
  LayerInputs inputs_;
  std::vector<RowBlocks> blocks_;  ///< by group
};

/// Runs `samples` [count, ...] through the float model and sums up the inputs of every given layer; one entry each, of
/// 8 * groups * k * k bytes. Throws DataError for an empty set and, naming the node, for inputs that are not finite.
/// `threads` bounds those that compute; the sums do not depend on it.
std::vector<LayerInputs> observe_inputs(const Model& model, std::span<const MatrixWeight> layers, const Tensor& samples,
                                        int threads);

/// The same for layers one after another, in as many passes over the samples as keep what is held below a gigabyte, or
/// one layer's.
void visit_inputs(const Model& model, std::span<const MatrixWeight> layers, const Tensor& samples, int threads,
                  const std::function<void(std::string_view)>& progress,
                  const std::function<void(std::size_t layer, const LayerInputs& inputs)>& visit);

/// The mean of what replacing weights [n, k] by others takes from each result: (W - W') E[x], by row.
std::vector<double> mean_change(const LayerInputs& inputs, std::span<const float> weights,
                                std::span<const float> others, std::int64_t n, std::int64_t k);

/// The mean square of what replacing weights [n, k] by others changes in a result: tr(D M D') / (n * rows) with D the
/// difference of the weights.
double mean_square_change(const LayerInputs& inputs, std::span<const float> weights, std::span<const float> others,
                          std::int64_t n, std::int64_t k);

}  // namespace qb
