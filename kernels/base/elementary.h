// Exponential and logarithm that give the same bits on every machine: + - * / on doubles only, in a fixed order.
// The C library's may differ in the last bit between versions and processors, which training would amplify.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

namespace qb {

/// e^x within 2 units in the last place; 0 below -708 (no subnormals), infinity above 709, NaN for NaN.
/// Method: x = k ln 2 + r with |r| <= ln 2 / 2, then the Taylor sum of e^r to r^13 / 13!.
inline double portable_exp(double x) {
  if (!(x >= -708.0)) return x < -708.0 ? 0.0 : x;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  const double scaled = x * 0x1.71547652b82fep+0;
  const auto k = std::int64_t(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  const double r = (x - double(k) * kLn2High) - double(k) * kLn2Low;
  double sum = 1.0;
  for (int i = 13; i >= 1; --i) sum = 1.0 + sum * r / double(i);
  return sum * std::bit_cast<double>(std::uint64_t(k + 1023) << 52);
}

/// ln x within 2 units in the last place for normal x > 0; -infinity for 0 and subnormals, NaN for x < 0 and NaN.
/// Method: x = 2^k m with m in [sqrt 1/2, sqrt 2), ln m = 2 artanh((m - 1) / (m + 1)) summed to its 21st power.
inline double portable_log(double x) {
  if (!(x >= 0.0)) return std::numeric_limits<double>::quiet_NaN();
  if (x < std::numeric_limits<double>::min()) return -std::numeric_limits<double>::infinity();
  if (x > std::numeric_limits<double>::max()) return x;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto k = std::int64_t(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    k += 1;
  }
  const double s = (m - 1.0) / (m + 1.0), square = s * s;
  double sum = 0.0;
  for (int i = 21; i >= 3; i -= 2) sum = (sum + 1.0 / double(i)) * square;
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  return double(k) * kLn2High + (2.0 * s + (2.0 * s * sum + double(k) * kLn2Low));
}

}  // namespace qb
