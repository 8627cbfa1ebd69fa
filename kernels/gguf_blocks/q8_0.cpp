// Q8_0, 32 weights in 34 bytes: float16 d, 32 int8. value = int8 * d, of which the code here is int8 + 128.
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/blocks_of_32.h"

namespace qb {

void quantize_q8_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_eight_bits(input, parts);
  pack_q8_0(parts, block);
}

void unpack_q8_0(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  for (std::size_t i = 0; i < 32; ++i) parts.codes[i] = block[2 + i] ^ 0x80;
}

void pack_q8_0(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  for (std::size_t i = 0; i < 32; ++i) block[2 + i] = parts.codes[i] ^ 0x80;
}

}  // namespace qb
