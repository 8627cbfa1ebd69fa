#include "kernels/gguf_blocks/blocks_of_32.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

namespace {

constexpr std::size_t kWeights = 32;
using Weights = std::array<float, kWeights>;

std::span<const float, kWeights> values_of(const BlockInput& input) {
  return std::span<const float, kWeights>(input.x, kWeights);
}

Weights error_weights(const BlockInput& input) {
  Weights weights;
  importance_weights(values_of(input), input.importance, input.row_mean_square, weights.data());
  return weights;
}

}  // namespace

void quantize_around_zero(const BlockInput& input, int limit, BlockParts& parts) {
  const auto x = values_of(input);
  parts.steps[0] = 1;
  if (input.importance) {
    parts.scale = fit_symmetric(x, error_weights(input).data(), limit, parts.codes.data());
    return;
  }
  parts.scale = signed_maximum(x) / float(-limit);
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f, middle = float(limit) + 0.5f;
  for (std::size_t i = 0; i < kWeights; ++i)
    parts.codes[i] = std::uint8_t(truncated(x[i] * inverse + middle, 0, 2 * limit - 1));
}

void quantize_from_minimum(const BlockInput& input, int largest, BlockParts& parts) {
  const auto x = values_of(input);
  parts.steps[0] = parts.offset_steps[0] = 1;
  if (input.importance) {
    constexpr AffineSearch kSearch = {-0.9f, 0.05f, 36, /*absolute=*/false};
    const AffineFit fit = fit_affine(x, error_weights(input).data(), largest, kSearch, parts.codes.data());
    parts.scale = fit.scale;
    parts.offset = -fit.minimum;
    return;
  }
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  parts.scale = (*high - *low) / float(largest);
  parts.offset = *low;
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t i = 0; i < kWeights; ++i)
    parts.codes[i] = std::uint8_t(truncated((x[i] - *low) * inverse + 0.5f, 0, largest));
}

void quantize_eight_bits(const BlockInput& input, BlockParts& parts) {
  const auto x = values_of(input);
  parts.steps[0] = 1;
  parts.scale = largest_magnitude(x) / 127;
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t i = 0; i < kWeights; ++i)
    parts.codes[i] = std::uint8_t(128 + truncated(std::round(x[i] * inverse), -127, 127));
}

}  // namespace qb
