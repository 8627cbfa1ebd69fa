#include "kernels/gguf_blocks/affine_super_block.h"

#include <algorithm>
#include <cmath>

#include "kernels/gguf_blocks/bit_fields.h"

namespace qb {

namespace {

constexpr std::size_t kWeights = 256;

/// One number per group; the first 256 / group are used.
using PerGroup = std::array<float, kMaxBlockGroups>;

struct GroupFits {
  PerGroup scales{}, minimums{}, weight_sums{};
};

void plain_weights(std::span<const float> x, bool rms, float* weights) {
  const float base = rms ? std::sqrt(sum_of_squares(x) / float(x.size())) : 0.0f;
  for (std::size_t i = 0; i < x.size(); ++i) weights[i] = base + std::abs(x[i]);
}

GroupFits fit_groups(const BlockInput& input, const AffineSuperBlock& shape, BlockParts& parts) {
  constexpr AffineSearch kImportanceSearch = {-0.9f, 0.05f, 36, /*absolute=*/false};
  GroupFits fits;
  const auto size = std::size_t(shape.group);
  const float variance = shape.variance_factor * sum_of_squares({input.x, kWeights}) / float(kWeights);
  std::array<float, 32> weights{};
  for (std::size_t group = 0; group < kWeights / size; ++group) {
    const std::span<const float> x(input.x + group * size, size);
    if (input.importance)
      importance_weights(x, input.importance + group * size, variance, weights.data());
    else
      plain_weights(x, shape.rms_in_weights, weights.data());
    for (std::size_t i = 0; i < size; ++i) fits.weight_sums[group] += weights[i];
    const AffineFit fit =
        fit_affine(x, weights.data(), shape.largest_code, input.importance ? kImportanceSearch : shape.search,
                   parts.codes.data() + group * size);
    fits.scales[group] = fit.scale;
    fits.minimums[group] = fit.minimum;
  }
  return fits;
}

/// Steps and their unit: the largest number gets the largest step.
float steps_by_maximum(std::span<const float> numbers, int largest, std::int32_t* steps) {
  float maximum = 0;
  for (const float number : numbers) maximum = std::max(maximum, number);
  const float inverse = maximum > 0 ? float(largest) / maximum : 0.0f;
  for (std::size_t i = 0; i < numbers.size(); ++i) steps[i] = std::clamp(nearest_int(inverse * numbers[i]), 0, largest);
  return maximum / float(largest);
}

}  // namespace

void quantize_affine_super_block(const BlockInput& input, const AffineSuperBlock& shape, BlockParts& parts) {
  const auto size = std::size_t(shape.group), groups = kWeights / size;
  const GroupFits fits = fit_groups(input, shape, parts);
  const auto units = [&](const PerGroup& numbers, std::int32_t* steps) {
    const std::span<const float> used(numbers.data(), groups);
    return rounded_to_f16(input.importance ? fit_steps(used, fits.weight_sums.data(), shape.largest_step, steps)
                                           : steps_by_maximum(used, shape.largest_step, steps));
  };
  parts.scale = units(fits.scales, parts.steps.data());
  const float minimum_unit = units(fits.minimums, parts.offset_steps.data());
  parts.offset = -minimum_unit;
  for (std::size_t group = 0; group < groups; ++group) {
    const float scale = parts.scale * float(parts.steps[group]);
    if (scale == 0) continue;
    const float minimum = minimum_unit * float(parts.offset_steps[group]);
    for (std::size_t i = group * size; i < (group + 1) * size; ++i)
      parts.codes[i] = std::uint8_t(std::clamp(nearest_int((input.x[i] + minimum) / scale), 0, shape.largest_code));
  }
}

// Bytes 0..3 hold steps 0..3 and 4..7 the minimum steps 0..3, each below two high bits of steps (minimum steps) 4..7,
// whose low nibbles are the low (high) halves of bytes 8..11.
void pack_six_bit_pairs(const BlockParts& parts, std::uint8_t* bytes) {
  for (std::size_t i = 0; i < 4; ++i) {
    const int step = parts.steps[i + 4], minimum = parts.offset_steps[i + 4];
    bytes[i] = std::uint8_t(parts.steps[i] | step >> 4 << 6);
    bytes[i + 4] = std::uint8_t(parts.offset_steps[i] | minimum >> 4 << 6);
    bytes[i + 8] = std::uint8_t((step & 15) | (minimum & 15) << 4);
  }
}

void unpack_six_bit_pairs(const std::uint8_t* bytes, BlockParts& parts) {
  for (std::size_t i = 0; i < 4; ++i) {
    parts.steps[i] = bytes[i] & 63;
    parts.offset_steps[i] = bytes[i + 4] & 63;
    parts.steps[i + 4] = (bytes[i + 8] & 15) | bytes[i] >> 6 << 4;
    parts.offset_steps[i + 4] = bytes[i + 8] >> 4 | bytes[i + 4] >> 6 << 4;
  }
}

}  // namespace qb
