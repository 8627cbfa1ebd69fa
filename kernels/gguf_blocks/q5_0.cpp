// Q5_0, 32 weights in 22 bytes: float16 d; 4 bytes, bit j the fifth bit of code j; 16 bytes of nibbles as in Q4_0.
// value = (code - 16) * d
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/blocks_of_32.h"

namespace qb {

void quantize_q5_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_around_zero(input, 16, parts);
  pack_q5_0(parts, block);
}

void unpack_q5_0(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  scatter_neighbours(block + 2, 4, {4, 1}, parts.codes.data());
  scatter_fields(block + 6, 16, {0, 4}, parts.codes.data());
}

void pack_q5_0(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  gather_neighbours(parts.codes.data(), 4, {4, 1}, block + 2);
  gather_fields(parts.codes.data(), 16, {0, 4}, block + 6);
}

}  // namespace qb
