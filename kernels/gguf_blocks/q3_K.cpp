// Q3_K, 256 weights in 110 bytes: 32 bytes with the third bits, bit t of byte j that of code j + 32 t; 64 bytes with
// the other two bits as in TQ2_0; 12 bytes with 16 signed 6-bit steps; float16 d. value = (d * step) * (code - 4),
// groups of 16
//
// The steps are stored plus 32: low nibbles of 0..7 in the low halves of bytes 0..7, of 8..15 in their high halves,
// upper two bits of step j in byte 8 + j % 4 from bit 2 (j / 4) on.
#include <algorithm>
#include <cmath>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

namespace {

using PerGroup = std::array<float, 16>;

/// Without importances: the scale of largest magnitude gets step -32. Returns the unit of the steps.
float steps_by_maximum(const PerGroup& scales, BlockParts& parts) {
  const float maximum = signed_maximum(scales);
  if (maximum == 0) {
    parts.steps.fill(-32);  // stored as zeros
    return 0;
  }
  const float inverse = -32.0f / maximum;
  for (std::size_t group = 0; group < 16; ++group)
    parts.steps[group] = std::clamp(nearest_int(inverse * scales[group]), -32, 31);
  return 1 / inverse;
}

/// With importances: the steps are searched like codes. Returns their unit.
float steps_by_search(const PerGroup& scales, const PerGroup& weight_sums, BlockParts& parts) {
  std::array<std::uint8_t, 16> steps{};
  const float unit = fit_symmetric(scales, weight_sums.data(), 32, steps.data());
  for (std::size_t group = 0; group < 16; ++group) parts.steps[group] = steps[group] - 32;
  return unit;
}

}  // namespace

void quantize_q3_K(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  PerGroup scales{}, weight_sums{};
  const float variance = 2 * sum_of_squares({input.x, 256}) / 256;
  for (std::size_t group = 0; group < 16; ++group) {
    const std::span<const float, 16> x(input.x + 16 * group, 16);
    std::uint8_t* codes = parts.codes.data() + 16 * group;
    if (!input.importance) {
      scales[group] = fit_symmetric_by_moves(x, 4, codes);
      continue;
    }
    PerGroup weights;
    importance_weights(x, input.importance + 16 * group, variance, weights.data());
    for (const float weight : weights) weight_sums[group] += weight;
    scales[group] = fit_symmetric(x, weights.data(), 4, codes);
  }
  parts.scale =
      rounded_to_f16(input.importance ? steps_by_search(scales, weight_sums, parts) : steps_by_maximum(scales, parts));
  for (std::size_t i = 0; i < 256; ++i) {
    const float scale = parts.scale * float(parts.steps[i / 16]);
    if (scale != 0) parts.codes[i] = std::uint8_t(std::clamp(nearest_int(input.x[i] / scale), -4, 3) + 4);
  }
  pack_q3_K(parts, block);
}

void unpack_q3_K(const std::uint8_t* block, BlockParts& parts) {
  scatter_fields(block, 32, {2, 1}, parts.codes.data());
  for (int half = 0; half < 2; ++half)
    scatter_fields(block + 32 + 32 * half, 32, {0, 2}, parts.codes.data() + 128 * half);
  std::array<std::uint8_t, 16> steps{};
  scatter_fields(block + 96, 8, {0, 4}, steps.data());
  scatter_fields(block + 104, 4, {4, 2}, steps.data());
  for (std::size_t group = 0; group < 16; ++group) parts.steps[group] = steps[group] - 32;
  parts.scale = read_f16(block + 108);
}

void pack_q3_K(const BlockParts& parts, std::uint8_t* block) {
  gather_fields(parts.codes.data(), 32, {2, 1}, block);
  for (int half = 0; half < 2; ++half)
    gather_fields(parts.codes.data() + 128 * half, 32, {0, 2}, block + 32 + 32 * half);
  std::array<std::uint8_t, 16> steps{};
  for (std::size_t group = 0; group < 16; ++group) steps[group] = std::uint8_t(parts.steps[group] + 32);
  gather_fields(steps.data(), 8, {0, 4}, block + 96);
  gather_fields(steps.data(), 4, {4, 2}, block + 104);
  write_f16(parts.scale, block + 108);
}

}  // namespace qb
