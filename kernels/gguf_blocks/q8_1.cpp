// Q8_1, 32 activations in 36 bytes: float16 d, float16 s = d * sum of the int8 (d not yet rounded), 32 int8.
// value = int8 * d; s serves the offsets of Q4_1 and Q5_1 in dot products.
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/blocks_of_32.h"

namespace qb {

void quantize_q8_1(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_eight_bits(input, parts);
  int sum = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    sum += parts.codes[i] - 128;
    block[4 + i] = parts.codes[i] ^ 0x80;
  }
  write_f16(parts.scale, block);
  write_f16(float(sum) * parts.scale, block + 2);
}

void unpack_q8_1(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.steps[0] = 1;
  for (std::size_t i = 0; i < 32; ++i) parts.codes[i] = block[4 + i] ^ 0x80;
}

}  // namespace qb
