// Gives each channel between two layers the same range in the weights that make it and in those that read it. Source:
// Nagel et al. 2019, Data-Free Quantization (arXiv:1906.04721), section 4.1.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantizers/options.h"
#include "quantizers/preparation.h"

namespace qb {
namespace {

/// Largest magnitude of each row of a layer's weights.
std::vector<double> largest_by_row(const Model& model, const MatrixWeight& layer) {
  const std::vector<float> values = matrix_values(model, layer);
  std::vector<double> largest(std::size_t(layer.n), 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    double& most = largest[i / std::size_t(layer.k)];
    most = std::max(most, std::abs(double(values[i])));
  }
  return largest;
}

/// sqrt(made / read), so that both become sqrt(made * read); 1 where either is zero.
std::vector<double> equalizing_factors(const Model& model, const InputChannels& input) {
  const std::vector<double> made = largest_by_row(model, *input.source->layer), read = largest_weights(model, input);
  std::vector<double> factors(made.size(), 1.0);
  for (std::size_t c = 0; c < made.size(); ++c)
    if (made[c] > 0 && read[c] > 0) factors[c] = std::sqrt(made[c] / read[c]);
  return factors;
}

}  // namespace

std::vector<PreparedLayer> equalize_layers(Model& model, const PreparationContext& context) {
  constexpr double kEven = 1e-3;
  std::vector<InputChannels> pairs = scalable_layers(model, context);
  std::erase_if(pairs, [&](const InputChannels& input) {
    return !input.source || !input.source->layer ||
           context.skipped.contains(model.graph.nodes[input.source->layer->node].name);
  });
  double change = INFINITY;
  for (std::int64_t sweep = 0; sweep < integer_of(context.spec, "sweeps") && change >= kEven; ++sweep) {
    change = 0;
    for (const InputChannels& input : pairs) {
      const std::vector<double> factors = equalizing_factors(model, input);
      for (const double factor : factors) change = std::max(change, std::abs(factor - 1));
      scale_channels(model, input, factors);
    }
  }
  std::vector<PreparedLayer> done;
  for (const InputChannels& input : pairs)
    done.push_back(
        {input.layer.weight, fmt::format("equalized with '{}'", model.graph.nodes[input.source->layer->node].name)});
  return done;
}

}  // namespace qb
