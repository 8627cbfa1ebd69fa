// Results of layers as an integer-only runtime computes them: int32 sums plus an int32 bias, times a fixed-point
// multiplier, as codes of the result's grid.
//
// Source: Jacob et al. (arXiv:1712.05877), section 2.2 and 2.4; TensorFlow Lite's quantization specification (the bias
// has the scale of activations times weights and zero point 0). The multiplication is that of kernels/requantize.h.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/ops.h"

namespace qb {

/// How the products of a layer [.., channels, ..] become the real values of its result's codes.
struct FixedResult {
  struct Channel {
    double step = 1;             ///< real value of one in a sum: activation scale times weight scale
    std::int32_t bias = 0;       ///< round(bias / step), saturated
    FixedMultiplier multiplier;  ///< step / result scale
  };
  std::vector<Channel> channels;
  ResultQuant quant;
  std::int32_t low = 0, high = 0;  ///< codes
};

/// For a node with a result, whose weights are `weights` and whose input 2, where given, is the bias. Throws
/// Unsupported, naming the node, where a sum has no single integer scale: weights that are not integers with positive
/// scales by channel or tensor, a bias that is no constant with one value per channel.
FixedResult plan_fixed_result(const OpSite& site, const PackedMatrix& weights);

/// Replaces products y [rows, channels, positions], without bias, by the results.
///
/// Sums are regained from float32 products: exactly up to 2^24 / 6 = 2.7 million, since a product has at most three
/// roundings; a greater sum is off by less than a relative 2^-22, which is 2^-14 of a step of the result's 8 bits.
/// Threads  up to `threads`, by rows and channels; the same bits at every count.
void requantize_results(const FixedResult& fixed, std::int64_t rows, std::int64_t positions, float* y, int threads);

/// Which layers of a model requantize_in_fixed_point() reached, and why it left the others.
struct FixedLayers {
  std::vector<std::string> fixed;
  std::vector<std::pair<std::string, std::string>> left;  ///< node and reason
};

/// Sets Node::result of every layer whose result only layers with one common static grid read: at once or through nodes
/// that give codes of a grid as codes of that grid (Relu, Clip, MaxPool, and those that move or shape). Such a layer
/// and its readers exchange codes only. All other layers keep float results: those that feed sums, means, other
/// functions or outputs of the graph, layers with float or dynamic activations, and those that plan_fixed_result()
/// cannot do.
FixedLayers requantize_in_fixed_point(Model& model, Requantization rounding);

}  // namespace qb
