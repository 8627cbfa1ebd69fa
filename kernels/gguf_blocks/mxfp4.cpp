// MXFP4, 32 weights in 17 bytes: E8M0 e, 16 bytes of E2M1 nibbles in the order of Q4_0. value = E2M1 * 2^(e - 127)
//
// The conversion is not that of OCP: the power follows from log2f(largest magnitude), which rounds up next to powers of
// two, and ties go to the lower magnitude. Minus zero reads as zero.
#include <algorithm>
#include <cmath>

#include "kernels/base/elementary.h"
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/nearest_e2m1.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

namespace {

/// floor(log2(x)) with the logarithm rounded to float32, x > 0.
int rounded_exponent(float x) {
  constexpr double kPerNat = 0x1.71547652b82fep+0;  // 1 / ln 2
  return int(std::floor(static_cast<float>(portable_log(double(x)) * kPerNat)));
}

}  // namespace

void quantize_mxfp4(const BlockInput& input, std::uint8_t* block) {
  const std::span<const float, 32> x(input.x, 32);
  const float amax = largest_magnitude(x);
  const auto exponent = std::uint8_t(amax > 0 ? std::clamp(rounded_exponent(amax) - 2 + 127, 0, 254) : 0);
  BlockParts parts;
  parts.scale = decode(kE8M0FNU, exponent);
  for (std::size_t i = 0; i < 32; ++i) parts.codes[i] = nearest_e2m1(x[i], parts.scale);
  pack_mxfp4(parts, block);
}

void unpack_mxfp4(const std::uint8_t* block, BlockParts& parts) {
  parts.scale = decode(kE8M0FNU, block[0]);
  parts.steps[0] = 1;
  scatter_fields(block + 1, 16, {0, 4}, parts.codes.data());
  drop_minus_zeros({parts.codes.data(), 32});
}

void pack_mxfp4(const BlockParts& parts, std::uint8_t* block) {
  block[0] = std::uint8_t(encode(kE8M0FNU, double(parts.scale)));
  gather_fields(parts.codes.data(), 16, {0, 4}, block + 1);
}

}  // namespace qb
