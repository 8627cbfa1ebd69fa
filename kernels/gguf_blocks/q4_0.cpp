// Q4_0, 32 weights in 18 bytes: float16 d, then 16 bytes of nibbles, low: code j, high: code j + 16.
// value = (code - 8) * d
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/blocks_of_32.h"

namespace qb {

void quantize_q4_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_around_zero(input, 8, parts);
  pack_q4_0(parts, block);
}

void unpack_q4_0(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  scatter_fields(block + 2, 16, {0, 4}, parts.codes.data());
}

void pack_q4_0(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  gather_fields(parts.codes.data(), 16, {0, 4}, block + 2);
}

}  // namespace qb
