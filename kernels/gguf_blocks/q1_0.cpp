// Q1_0, 128 weights in 18 bytes: float16 d = mean magnitude, 128 bits, lowest first. value = bit ? d : -d
#include <cmath>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"

namespace qb {

void quantize_q1_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  float sum = 0;
  for (std::size_t i = 0; i < 128; ++i) {
    sum += std::abs(input.x[i]);
    parts.codes[i] = input.x[i] >= 0 ? 1 : 0;
  }
  parts.scale = sum / 128;
  pack_q1_0(parts, block);
}

void unpack_q1_0(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  scatter_neighbours(block + 2, 16, {0, 1}, parts.codes.data());
}

void pack_q1_0(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  gather_neighbours(parts.codes.data(), 16, {0, 1}, block + 2);
}

}  // namespace qb
