// TQ1_0, 256 weights in 54 bytes: 32 bytes of five trits for weights i + 32 n, 16 bytes for the next 80 as i + 16 n, 4
// bytes of four trits for the last 16 as i + 4 n, float16 d. value = (trit - 1) * d
//
// A byte holds v = sum of trit n * 3^(4 - n) as ceil(256 v / 243), so that trit n is the integer part of three times
// the fraction of byte * 3^n / 256: multiplications only.
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/ternary.h"

namespace qb {

namespace {

/// `bytes` bytes from `first_byte` on hold weights first_weight + i + bytes * n, n < trits.
struct TritRun {
  int first_byte, bytes, first_weight, trits;
};
constexpr TritRun kRuns[] = {{0, 32, 0, 5}, {32, 16, 160, 5}, {48, 4, 240, 4}};

}  // namespace

void quantize_tq1_0(const BlockInput& input, std::uint8_t* block) {
  BlockParts parts;
  quantize_ternary(input, parts);
  pack_tq1_0(parts, block);
}

void unpack_tq1_0(const std::uint8_t* block, BlockParts& parts) {
  for (const TritRun& run : kRuns)
    for (int i = 0; i < run.bytes; ++i) {
      int fraction = block[run.first_byte + i];
      for (int n = 0; n < run.trits; ++n) {
        parts.codes[std::size_t(run.first_weight + i + run.bytes * n)] = std::uint8_t(3 * fraction >> 8);
        fraction = 3 * fraction & 0xff;
      }
    }
  parts.scale = read_f16(block + 52);
  parts.steps[0] = 1;
}

void pack_tq1_0(const BlockParts& parts, std::uint8_t* block) {
  for (const TritRun& run : kRuns)
    for (int i = 0; i < run.bytes; ++i) {
      int value = 0;
      for (int n = 0; n < 5; ++n)
        value = 3 * value + (n < run.trits ? parts.codes[std::size_t(run.first_weight + i + run.bytes * n)] : 0);
      block[run.first_byte + i] = std::uint8_t((value * 256 + 242) / 243);
    }
  write_f16(parts.scale, block + 52);
}

}  // namespace qb
