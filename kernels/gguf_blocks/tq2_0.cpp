// TQ2_0, 256 weights in 66 bytes: 64 bytes of 2-bit codes (per 128 weights, byte i holds codes i, i + 32, i + 64 and
// i + 96), float16 d = largest magnitude. value = (code - 1) * d with code in 0..2: lossless for ternary weights only.
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/ternary.h"

namespace qb {

void quantize_tq2_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_ternary(input, parts);
  pack_tq2_0(parts, block);
}

void unpack_tq2_0(const std::uint8_t* block, BlockParts& parts) {
  for (int half = 0; half < 2; ++half) scatter_fields(block + 32 * half, 32, {0, 2}, parts.codes.data() + 128 * half);
  parts.scale = read_f16(block + 64);
  parts.steps[0] = 1;
}

void pack_tq2_0(const BlockParts& parts, std::uint8_t* block) {
  for (int half = 0; half < 2; ++half) gather_fields(parts.codes.data() + 128 * half, 32, {0, 2}, block + 32 * half);
  write_f16(parts.scale, block + 64);
}

}  // namespace qb
