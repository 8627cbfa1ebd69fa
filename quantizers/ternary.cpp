// Weights -1, 0, 1 times a scale. Sources: Li et al. 2016, Ternary Weight Networks (arXiv:1605.04711): twn; Ma et al.
// 2024, The Era of 1-bit LLMs (arXiv:2402.17764): absmean; the exact optimum is the largest (sum of the m largest
// magnitudes)^2 / m.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// Weights above the threshold in magnitude are +-scale.
struct Ternary {
  double threshold = 0, scale = 0;
};

double mean_magnitude(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += double(std::abs(value));
  return sum / double(values.size());
}

/// The scale with the least squared error for a threshold: the mean of what it leaves.
Ternary with_best_scale(std::span<const float> values, double threshold) {
  double sum = 0;
  std::int64_t count = 0;
  for (const float value : values)
    if (double(std::abs(value)) > threshold) {
      sum += double(std::abs(value));
      ++count;
    }
  return {threshold, count > 0 ? sum / double(count) : 0};
}

Ternary optimum(std::span<const float> values) {
  std::vector<float> magnitudes(values.size());
  std::transform(values.begin(), values.end(), magnitudes.begin(), [](float value) { return std::abs(value); });
  std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
  double sum = 0, best = -1;
  Ternary found;
  for (std::size_t m = 0; m < magnitudes.size(); ++m) {
    sum += double(magnitudes[m]);
    const bool last_of_equals = m + 1 == magnitudes.size() || magnitudes[m + 1] < magnitudes[m];
    if (last_of_equals && sum * sum / double(m + 1) > best) {
      best = sum * sum / double(m + 1);
      found = {std::nextafter(double(magnitudes[m]), -1.0), sum / double(m + 1)};
    }
  }
  return found;
}

Ternary ternary_of(std::span<const float> values, std::string_view rule) {
  if (rule == "optimal") return optimum(values);
  const double mean = mean_magnitude(values);
  if (rule == "twn") return with_best_scale(values, 0.7 * mean);
  const double half = 0.5 * mean;  // round to nearest even of |w| / mean is 1 above one half
  return rule == "absmean" ? Ternary{half, mean} : with_best_scale(values, half);
}

}  // namespace

PackedMatrix quantize_ternary(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::levels);
  format.levels = option_of(spec, "store") == "base3" ? LevelSet::trit : LevelSet::ternary;
  format.scale = scale_option(spec);
  const std::string_view rule = option_of(spec, "rule");
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    const Ternary ternary = ternary_of(values, rule);
    out.scales.push_back(stored_scale(format.scale, float(ternary.scale)));
    std::transform(values.begin(), values.end(), codes, [&](float value) {
      const bool zero = double(std::abs(value)) <= ternary.threshold;
      return std::uint8_t(zero ? 1 : value > 0 ? 2 : 0);
    });
  });
}

}  // namespace qb
