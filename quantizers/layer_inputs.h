// What flows into each layer of the float model, as second moments: what methods that learn from samples minimise over.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "models/graph.h"
#include "models/weight_matrix.h"

namespace qb {

/// Sums over all rows x [k] that the calibration samples send into a layer: one row per sample and position.
struct LayerInputs {
  std::int64_t rows = 0;  ///< per group
  /// By group of a convolution: [k, k] sum of x[i] * x[j], row-major and symmetric. Weights [g * n / groups, ...) meet
  /// group g; there is one group unless the convolution has more.
  std::vector<std::vector<double>> moments;
  std::vector<std::vector<double>> sums;  ///< by group: [k] sum of x[i]
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
