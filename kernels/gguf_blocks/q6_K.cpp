// Q6_K, 256 weights in 210 bytes: per 128 weights 64 bytes of low nibbles (byte j: codes j and j + 64); then per 128
// weights 32 bytes with the upper two bits as in TQ2_0; 16 int8 steps; float16 d. value = (d * step) * (code - 32),
// groups of 16
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

void quantize_q6_K(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  std::array<float, 16> scales{};
  for (std::size_t group = 0; group < 16; ++group) {
    const std::span<const float, 16> x(input.x + 16 * group, 16);
    std::array<float, 16> weights;
    for (std::size_t i = 0; i < 16; ++i) weights[i] = input.importance ? input.importance[16 * group + i] : x[i] * x[i];
    scales[group] = fit_symmetric(x, weights.data(), 32, parts.codes.data() + 16 * group);
  }
  const float maximum = signed_maximum(scales);
  if (std::abs(maximum) < kNegligible) {
    std::fill_n(block, 210, std::uint8_t(0));
    return;
  }
  const float inverse = -128.0f / maximum;
  parts.scale = rounded_to_f16(1 / inverse);
  for (std::size_t group = 0; group < 16; ++group)
    parts.steps[group] = std::clamp(nearest_int(inverse * scales[group]), -128, 127);
  for (std::size_t i = 0; i < 256; ++i) {
    const float scale = parts.scale * float(parts.steps[i / 16]);
    if (scale != 0) parts.codes[i] = std::uint8_t(std::clamp(nearest_int(input.x[i] / scale), -32, 31) + 32);
  }
  pack_q6_K(parts, block);
}

void unpack_q6_K(const std::uint8_t* block, BlockParts& parts) {
  for (int half = 0; half < 2; ++half) {
    scatter_fields(block + 64 * half, 64, {0, 4}, parts.codes.data() + 128 * half);
    scatter_fields(block + 128 + 32 * half, 32, {4, 2}, parts.codes.data() + 128 * half);
  }
  for (std::size_t group = 0; group < 16; ++group) parts.steps[group] = std::int8_t(block[192 + group]);
  parts.scale = read_f16(block + 208);
}

void pack_q6_K(const BlockParts& parts, std::uint8_t* block) {
  for (int half = 0; half < 2; ++half) {
    gather_fields(parts.codes.data() + 128 * half, 64, {0, 4}, block + 64 * half);
    gather_fields(parts.codes.data() + 128 * half, 32, {4, 2}, block + 128 + 32 * half);
  }
  for (std::size_t group = 0; group < 16; ++group) block[192 + group] = std::uint8_t(parts.steps[group]);
  write_f16(parts.scale, block + 208);
}

}  // namespace qb
