#include "kernels/gguf_blocks/level_search.h"

#include <cmath>

#include "kernels/gguf_blocks/scale_search.h"
#include "kernels/levels.h"

namespace qb {

std::uint8_t nearest_iq4nl(float x) {
  if (x <= kIq4NlLevels[0]) return 0;
  std::uint8_t upper = 1;
  while (upper < 15 && !(x < kIq4NlLevels[upper])) ++upper;
  return x - kIq4NlLevels[upper - 1] < kIq4NlLevels[upper] - x ? std::uint8_t(upper - 1) : upper;
}

void level_weights(std::span<const float> x, const float* importance, float variance, float* weights) {
  if (importance) {
    importance_weights(x, importance, variance, weights);
    return;
  }
  for (std::size_t i = 0; i < x.size(); ++i) weights[i] = x[i] * x[i];
}

float fit_levels(std::span<const float> x, const float* weights, int tries) {
  const float maximum = signed_maximum(x);
  if (std::abs(maximum) < kNegligible) return 0;
  float sum_xl = 0, sum_ll = 0;
  const auto sum_for = [&](float inverse) {
    sum_xl = sum_ll = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float level = kIq4NlLevels[nearest_iq4nl(inverse * x[i])];
      sum_xl += weights[i] * level * x[i];
      sum_ll += weights[i] * level * level;
    }
  };
  sum_for(1 / ((tries > 0 ? -maximum : maximum) / kIq4NlLevels[0]));
  float scale = sum_ll > 0 ? sum_xl / sum_ll : 0.0f;
  float best = scale * sum_xl;
  for (int shift = -tries; tries > 0 && shift <= tries; ++shift) {
    sum_for((float(shift) + kIq4NlLevels[0]) / maximum);
    if (!(sum_ll > 0 && sum_xl * sum_xl > best * sum_ll)) continue;
    scale = sum_xl / sum_ll;
    best = scale * sum_xl;
  }
  return scale;
}

}  // namespace qb
