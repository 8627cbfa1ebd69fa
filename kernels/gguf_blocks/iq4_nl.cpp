// IQ4_NL, 32 weights in 18 bytes: float16 d, 16 bytes of nibbles as in Q4_0. value = level[code] * d
#include <array>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/level_search.h"
#include "kernels/gguf_blocks/scale_search.h"
#include "kernels/levels.h"

namespace qb {

void quantize_iq4_nl(const BlockInput& input, std::uint8_t* block) {
  const std::span<const float, 32> x(input.x, 32);
  std::array<float, 32> weights;
  level_weights(x, input.importance, sum_of_squares(x) * (2.0f / 32), weights.data());
  BlockParts parts;
  parts.scale = fit_levels(x, weights.data(), 7);
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t i = 0; i < 32; ++i) parts.codes[i] = nearest_iq4nl(inverse * x[i]);
  pack_iq4_nl(parts, block);
}

void quantize_iq4_nl_quick(const BlockInput& input, std::uint8_t* block) {
  const std::span<const float, 32> x(input.x, 32);
  std::array<float, 32> weights;
  level_weights(x, nullptr, 0, weights.data());
  BlockParts parts;
  parts.scale = fit_levels(x, weights.data(), 0);
  if (parts.scale != 0) {  // the codes that the first guess gave, not those nearest under the fitted scale
    const float inverse = 1 / (signed_maximum(x) / kIq4NlLevels[0]);
    for (std::size_t i = 0; i < 32; ++i) parts.codes[i] = nearest_iq4nl(inverse * x[i]);
  }
  pack_iq4_nl(parts, block);
}

void unpack_iq4_nl(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  scatter_fields(block + 2, 16, {0, 4}, parts.codes.data());
}

void pack_iq4_nl(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  gather_fields(parts.codes.data(), 16, {0, 4}, block + 2);
}

}  // namespace qb
