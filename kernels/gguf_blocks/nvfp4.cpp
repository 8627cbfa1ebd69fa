// NVFP4, 64 weights in 36 bytes: 4 unsigned E4M3 scales, one per 16 weights; 4 times 8 bytes of E2M1 nibbles, low:
// weight j of the 16, high: j + 8. value = E2M1 * scale. Minus zero and the scale code 0x7f read as zero.
//
// Every E4M3 number is a multiple of 2^-9: the block's scale here is 2^-9 and the groups' steps are those multiples.
#include <bit>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/nearest_e2m1.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

namespace {

constexpr float kUnit = 0x1p-9f;

/// x >= 0 as E4M3 the way ggml rounds: half up, subnormals truncated after adding half, 448 from 256 on.
std::uint8_t scale_code(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const int exponent = int(bits >> 23) - 127 + 7;
  if (exponent <= 0) return std::uint8_t(truncated(x / kUnit + 0.5f, 0, 7));
  if (exponent >= 15) return 0x7e;
  const int rounded = (exponent << 3 | int(bits >> 20 & 7)) + int(bits >> 19 & 1);
  return std::uint8_t(rounded >= 15 << 3 ? 0x7e : rounded);
}

int steps_of(std::uint8_t code) { return code == 0x7f ? 0 : int(decode(kE4M3FN, code) / kUnit); }

}  // namespace

void quantize_nvfp4(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  parts.scale = kUnit;
  for (std::size_t group = 0; group < 4; ++group) {
    const std::span<const float, 16> x(input.x + 16 * group, 16);
    parts.steps[group] = steps_of(scale_code(largest_magnitude(x) / 6));
    const float scale = float(parts.steps[group]) * kUnit;
    for (std::size_t i = 0; i < 16; ++i) parts.codes[16 * group + i] = nearest_e2m1(x[i], scale);
  }
  pack_nvfp4(parts, block);
}

void unpack_nvfp4(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = kUnit;
  for (std::size_t group = 0; group < 4; ++group) {
    parts.steps[group] = steps_of(block[group] & 0x7f);
    scatter_fields(block + 4 + 8 * group, 8, {0, 4}, parts.codes.data() + 16 * group);
  }
  drop_minus_zeros({parts.codes.data(), 64});
}

void pack_nvfp4(const BlockParts& parts, std::uint8_t* block) {
  for (std::size_t group = 0; group < 4; ++group) {
    block[group] = std::uint8_t(encode(kE4M3FN, double(float(parts.steps[group]) * parts.scale)));
    gather_fields(parts.codes.data() + 16 * group, 8, {0, 4}, block + 4 + 8 * group);
  }
}

}  // namespace qb
