// Elementary functions of float32 that the compiler can vectorize and that give the same bits on every machine.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

namespace qb {

/// e^x within 2 units in the last place; 0 below -87.3 (no subnormals), infinity above 88.7, NaN for NaN.
/// Method: x = k ln 2 + r with |r| <= ln 2 / 2 (k by adding and subtracting 1.5 * 2^23), then a polynomial of degree 7.
inline float exp_f32(float x) {
  constexpr float kLow = -87.3f, kHigh = 88.722f, kMagic = 12582912.0f;
  constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  const float inside = x < kLow ? kLow : x > kHigh ? kHigh : x;
  const float shifted = inside * 0x1.715476p+0f + kMagic;
  const float k = shifted - kMagic;
  const float r = (inside - k * kLn2High) - k * kLn2Low;
  float sum = 1.0f / 5040.0f;
  sum = sum * r + 1.0f / 720.0f;
  sum = sum * r + 1.0f / 120.0f;
  sum = sum * r + 1.0f / 24.0f;
  sum = sum * r + 1.0f / 6.0f;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  // 2^k in two factors, because k = 128 has no float of its own.
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kMagic);
  const std::int32_t half = exponent >> 1;
  const float first = std::bit_cast<float>((half + 127) << 23),
              second = std::bit_cast<float>((exponent - half + 127) << 23);
  const float result = sum * first * second;
  return x < kLow ? 0.0f : x > kHigh ? std::numeric_limits<float>::infinity() : result;
}

}  // namespace qb
