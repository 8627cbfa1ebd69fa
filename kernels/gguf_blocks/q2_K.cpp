// Q2_K, 256 weights in 84 bytes: 16 bytes (low nibble: step, high: minimum step of a group of 16), 64 bytes of 2-bit
// codes as in TQ2_0, float16 d, float16 dmin. value = (d * step) * code - dmin * minimum step
#include "kernels/gguf_blocks/affine_super_block.h"
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"

namespace qb {

void quantize_q2_K(const BlockInput& input, std::uint8_t* block) {
  constexpr AffineSuperBlock kShape = {16, 3, 15, {-0.5f, 0.1f, 15, /*absolute=*/true}, /*rms_in_weights=*/false, 1.0f};
  BlockParts parts;
  quantize_affine_super_block(input, kShape, parts);
  pack_q2_K(parts, block);
}

void unpack_q2_K(const std::uint8_t* block, BlockParts& parts) {
  for (std::size_t group = 0; group < 16; ++group) {
    parts.steps[group] = block[group] & 15;
    parts.offset_steps[group] = block[group] >> 4;
  }
  for (int half = 0; half < 2; ++half)
    scatter_fields(block + 16 + 32 * half, 32, {0, 2}, parts.codes.data() + 128 * half);
  parts.scale = read_f16(block + 80);
  parts.offset = -read_f16(block + 82);
}

void pack_q2_K(const BlockParts& parts, std::uint8_t* block) {
  for (std::size_t group = 0; group < 16; ++group)
    block[group] = std::uint8_t(parts.steps[group] | parts.offset_steps[group] << 4);
  for (int half = 0; half < 2; ++half)
    gather_fields(parts.codes.data() + 128 * half, 32, {0, 2}, block + 16 + 32 * half);
  write_f16(parts.scale, block + 80);
  write_f16(-parts.offset, block + 82);
}

}  // namespace qb
