// Q4_1, 32 weights in 20 bytes: float16 d, float16 m, 16 bytes of nibbles as in Q4_0.
// value = code * d + m
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/blocks_of_32.h"

namespace qb {

void quantize_q4_1(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_from_minimum(input, 15, parts);
  pack_q4_1(parts, block);
}

void unpack_q4_1(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.offset = read_f16(block + 2);
  parts.steps[0] = parts.offset_steps[0] = 1;
  scatter_fields(block + 4, 16, {0, 4}, parts.codes.data());
}

void pack_q4_1(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  write_f16(parts.offset, block + 2);
  gather_fields(parts.codes.data(), 16, {0, 4}, block + 4);
}

}  // namespace qb
