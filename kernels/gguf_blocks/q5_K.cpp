// Q5_K, 256 weights in 176 bytes: as Q4_K, but between steps and nibbles 32 bytes with the fifth bits, bit t of byte j
// that of code j + 32 t. value = (d * step) * code - dmin * minimum step, groups of 32
#include "kernels/gguf_blocks/affine_super_block.h"
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"

namespace qb {

void quantize_q5_K(const BlockInput& input, std::uint8_t* block) {
  constexpr AffineSuperBlock kShape = {32,  31, 63, {-0.5f, 0.1f, 15, /*absolute=*/false}, /*rms_in_weights=*/true,
                                       2.0f};
  BlockParts parts;
  quantize_affine_super_block(input, kShape, parts);
  pack_q5_K(parts, block);
}

void unpack_q5_K(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = read_f16(block);
  parts.offset = -read_f16(block + 2);
  unpack_six_bit_pairs(block + 4, parts);
  scatter_fields(block + 16, 32, {4, 1}, parts.codes.data());
  for (int quarter = 0; quarter < 4; ++quarter)
    scatter_fields(block + 48 + 32 * quarter, 32, {0, 4}, parts.codes.data() + 64 * quarter);
}

void pack_q5_K(const BlockParts& parts, std::uint8_t* block) {
  write_f16(parts.scale, block);
  write_f16(-parts.offset, block + 2);
  pack_six_bit_pairs(parts, block + 4);
  gather_fields(parts.codes.data(), 32, {4, 1}, block + 16);
  for (int quarter = 0; quarter < 4; ++quarter)
    gather_fields(parts.codes.data() + 64 * quarter, 32, {0, 4}, block + 48 + 32 * quarter);
}

}  // namespace qb
