// IQ4_XS, 256 weights in 136 bytes: float16 d; 2 bytes with the upper two bits and 4 bytes with the low nibbles of
// eight signed 6-bit steps (stored plus 32); per 32 weights 16 bytes of nibbles as in Q4_0. value = (d * step) *
// level[code]
#include <algorithm>
#include <array>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/level_search.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

void quantize_iq4_xs(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  std::array<float, 8> scales{};
  const float variance = sum_of_squares({input.x, 256}) * (2.0f / 256);
  for (std::size_t group = 0; group < 8; ++group) {
    const std::span<const float, 32> x(input.x + 32 * group, 32);
    std::array<float, 32> weights;
    level_weights(x, input.importance ? input.importance + 32 * group : nullptr, variance, weights.data());
    scales[group] = fit_levels(x, weights.data(), 7);
  }
  parts.scale = -signed_maximum(scales) / 32;
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t group = 0; group < 8; ++group) {
    parts.steps[group] = std::clamp(nearest_int(inverse * scales[group]), -32, 31);
    const float scale = parts.scale * float(parts.steps[group]);  // of a d that is not yet rounded to float16
    const float inverse_scale = scale != 0 ? 1 / scale : 0.0f;
    for (std::size_t i = 32 * group; i < 32 * group + 32; ++i)
      parts.codes[i] = nearest_iq4nl(inverse_scale * input.x[i]);
  }
  pack_iq4_xs(parts, block);
}

void unpack_iq4_xs(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  std::array<std::uint8_t, 8> steps{};
  scatter_neighbours(block + 2, 2, {4, 2}, steps.data());
  scatter_neighbours(block + 4, 4, {0, 4}, steps.data());
  for (std::size_t group = 0; group < 8; ++group) {
    parts.steps[group] = steps[group] - 32;
    scatter_fields(block + 8 + 16 * group, 16, {0, 4}, parts.codes.data() + 32 * group);
  }
}

void pack_iq4_xs(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  std::array<std::uint8_t, 8> steps{};
  for (std::size_t group = 0; group < 8; ++group) {
    steps[group] = std::uint8_t(parts.steps[group] + 32);
    gather_fields(parts.codes.data() + 32 * group, 16, {0, 4}, block + 8 + 16 * group);
  }
  gather_neighbours(steps.data(), 2, {4, 2}, block + 2);
  gather_neighbours(steps.data(), 4, {0, 4}, block + 4);
}

}  // namespace qb
