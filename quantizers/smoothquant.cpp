// Moves the range of activations into the weights, so that both fit few bits. Source: Xiao et al. 2023, SmoothQuant
// (arXiv:2211.10438), equation 4.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/elementary.h"
#include "quantizers/channel_statistics.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"

namespace qb {
namespace {

/// max|x|^alpha / max|w|^(1 - alpha), not below 1e-5; 1 for channels that were never seen to be anything but zero.
std::vector<double> smoothing_factors(std::span<const double> inputs, std::span<const double> weights, double alpha) {
  constexpr double kLeast = 1e-5;
  std::vector<double> factors(inputs.size(), 1.0);
  for (std::size_t c = 0; c < factors.size(); ++c)
    if (inputs[c] > 0)
      factors[c] = std::max(kLeast, portable_exp(alpha * portable_log(inputs[c]) -
                                                 (1 - alpha) * portable_log(std::max(kLeast, weights[c]))));
  return factors;
}

}  // namespace

std::vector<PreparedLayer> smooth_activations(Model& model, const PreparationContext& context) {
  const std::vector<InputChannels> inputs = scalable_layers(model, context);
  const std::vector<ChannelStatistics> seen = observe_channels(model, inputs, context.calibration, context.threads);
  const double alpha = number_of(context.spec, "alpha");
  std::vector<std::vector<double>> factors;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    factors.push_back(smoothing_factors(seen[i].largest, largest_weights(model, inputs[i]), alpha));
  std::vector<PreparedLayer> done;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    done.push_back(apply_factors(model, inputs[i].layer.weight, factors[i], "smoothed"));
  return done;
}

}  // namespace qb
