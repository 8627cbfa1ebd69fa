// Q8_K, 256 activations in 292 bytes: float32 d, 256 int8, 16 int16 with the sums of 16 neighbours each.
// value = int8 * d. The value of largest magnitude becomes -127, whatever its sign. All numbers low byte first.
#include <algorithm>
#include <bit>

#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

void quantize_q8_K(const BlockInput& input, std::uint8_t* block) {
  const std::span<const float, 256> x(input.x, 256);
  std::fill_n(block, 292, std::uint8_t(0));
  const float maximum = signed_maximum(x);
  if (maximum == 0) return;
  const float inverse = -127.0f / maximum;
  const auto scale = std::bit_cast<std::uint32_t>(1 / inverse);
  for (int i = 0; i < 4; ++i) block[i] = std::uint8_t(scale >> (8 * i) & 0xff);
  for (std::size_t group = 0; group < 16; ++group) {
    int sum = 0;
    for (std::size_t i = 16 * group; i < 16 * group + 16; ++i) {
      const int code = std::clamp(nearest_int(inverse * x[i]), -127, 127);
      block[4 + i] = std::uint8_t(code);
      sum += code;
    }
    block[260 + 2 * group] = std::uint8_t(sum & 0xff);
    block[261 + 2 * group] = std::uint8_t(sum >> 8 & 0xff);
  }
}

void unpack_q8_K(const std::uint8_t* block, BlockParts& parts) {
  std::uint32_t scale = 0;
  for (int i = 0; i < 4; ++i) scale |= std::uint32_t(block[i]) << (8 * i);
  parts.scale = std::bit_cast<float>(scale);
  parts.steps[0] = 1;
  for (std::size_t i = 0; i < 256; ++i) parts.codes[i] = block[4 + i] ^ 0x80;
}

}  // namespace qb
