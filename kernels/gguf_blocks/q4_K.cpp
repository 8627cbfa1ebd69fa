// Q4_K, 256 weights in 144 bytes: float16 d, float16 dmin, 12 bytes with 8 pairs of 6-bit steps, then per 64 weights 32
// bytes of nibbles, low: code j, high: code j + 32. value = (d * step) * code - dmin * minimum step, groups of 32
#include "kernels/gguf_blocks/affine_super_block.h"
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"

namespace qb {

void quantize_q4_K(const BlockInput& input, std::uint8_t* block) {
  constexpr AffineSuperBlock kShape = {32,  15, 63, {-1.0f, 0.1f, 20, /*absolute=*/false}, /*rms_in_weights=*/true,
                                       2.0f};
  BlockParts parts;
  quantize_affine_super_block(input, kShape, parts);
  pack_q4_K(parts, block);
}

void unpack_q4_K(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.offset = -read_f16(block + 2);
  unpack_six_bit_pairs(block + 4, parts);
  for (int quarter = 0; quarter < 4; ++quarter)
    scatter_fields(block + 16 + 32 * quarter, 32, {0, 4}, parts.codes.data() + 64 * quarter);
}

void pack_q4_K(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  write_f16(-parts.offset, block + 2);
  pack_six_bit_pairs(parts, block + 4);
  for (int quarter = 0; quarter < 4; ++quarter)
    gather_fields(parts.codes.data() + 64 * quarter, 32, {0, 4}, block + 16 + 32 * quarter);
}

}  // namespace qb
