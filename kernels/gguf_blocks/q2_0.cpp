// Q2_0, 64 weights in 18 bytes: float16 d = largest magnitude, 64 codes of 2 bits, lowest first.
// value = (code - 1) * d. The encoder never writes code 3.
#include <cmath>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

void quantize_q2_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  parts.scale = largest_magnitude({input.x, 64});
  const float inverse = parts.scale > 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t i = 0; i < 64; ++i)
    parts.codes[i] = std::uint8_t(1 + truncated(std::round(input.x[i] * inverse), -1, 2));
  pack_q2_0(parts, block);
}

void unpack_q2_0(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  scatter_neighbours(block + 2, 16, {0, 2}, parts.codes.data());
}

void pack_q2_0(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  gather_neighbours(parts.codes.data(), 16, {0, 2}, block + 2);
}

}  // namespace qb
