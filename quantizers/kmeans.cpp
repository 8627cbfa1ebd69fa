// Shared values by k-means. Sources: Han et al., Deep Compression (arXiv:1510.00149), section 3; errors weighted by
// what they cost: Kim et al., SqueezeLLM (arXiv:2306.07629), section 4.1, with the diagonal of the inputs' second
// moments, which is the Hessian of the layer's own error, in place of the Fisher information; the search: codebook.h.
#include <fmt/format.h>

#include <algorithm>

#include "quantizers/codebook.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// What a squared error of each weight costs, row by row: the mean square of its input.
std::vector<float> costs_of(const LayerProblem& layer) {
  std::vector<float> costs;
  const auto groups = std::ssize(layer.inputs->moments);
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::vector<float> squares = input_squares(layer, group);
    for (std::int64_t row = 0; row < layer.weights.rows / groups; ++row)
      costs.insert(costs.end(), squares.begin(), squares.end());
  }
  return costs;
}

/// The values with their costs; without costs where all inputs of the values are zero.
SortedValues sort_with_costs(std::span<const float> values, std::span<const float> costs) {
  const bool costly = std::any_of(costs.begin(), costs.end(), [](float cost) { return cost > 0; });
  return sort_values(values, costly ? costs : std::span<const float>());
}

}  // namespace

PackedMatrix quantize_kmeans(const LayerProblem& layer, const QuantSpec& spec) {
  KMeansOptions options;
  options.init = kmeans_init(option_of(spec, "init"));
  options.pin_zero = flag_of(spec, "pin_zero");
  options.restarts = int(integer_of(spec, "restarts"));
  options.seed = std::uint64_t(integer_of(spec, "seed"));
  const int k = 1 << spec.weight_bits;
  const std::vector<float> costs = option_of(spec, "weight") == "inputs" ? costs_of(layer) : std::vector<float>();
  return quantize_to_tables(
      layer, spec, [&](std::size_t first, std::span<const float> values, std::span<float> levels, std::uint8_t* codes) {
        const SortedValues data = sort_with_costs(
            values, costs.empty() ? std::span<const float>() : std::span(costs).subspan(first, values.size()));
        if (options.init == KMeansInit::dp && data.count() * std::size_t(k) > kOptimumCells)
          throw InputError(fmt::format(
              "layer '{}': init=dp is limited to {} distinct weights at {} bits and there are {}; use init=quantile",
              layer.node, kOptimumCells / std::uint64_t(k), spec.weight_bits, data.count()));
        store_levels(kmeans(data, k, options).levels, levels);
        encode_nearest(values, levels, codes);
      });
}

}  // namespace qb
