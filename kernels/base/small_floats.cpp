#include "kernels/base/small_floats.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>
#include <vector>

#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr FloatFormat kFormats[] = {kE4M3FN, kE5M2,   kE4M3FNUZ, kE5M2FNUZ, kE3M4,    kE3M2FN,
                                    kE2M3FN, kE2M1FN, kE8M0FNU,  kFloat16,  kBfloat16};

constexpr std::uint64_t kMagnitude64 = ~std::uint64_t{0} >> 1;
constexpr std::uint64_t kInfinity64 = 0x7ff0000000000000u;
constexpr int kMantissaBits64 = 52;
constexpr int kBias64 = 1023;

constexpr std::uint32_t sign_bit(const FloatFormat& format) {
  return 1u << (format.exponent_bits + format.mantissa_bits);
}

constexpr std::uint32_t nan_code(const FloatFormat& format, std::uint32_t sign) {
  switch (format.specials) {
    case SpecialCodes::ieee: return sign | (max_finite_code(format) + 1) | 1u << (format.mantissa_bits - 1);
    case SpecialCodes::one_nan: return sign | (sign_bit(format) - 1);
    case SpecialCodes::power: return sign_bit(format) - 1;
    case SpecialCodes::minus_nan:
    case SpecialCodes::none: break;
  }
  return sign_bit(format);
}

/// The code for magnitudes above the largest finite number, infinite or not.
constexpr std::uint32_t overflow_code(const FloatFormat& format, std::uint32_t sign, bool infinite, Overflow overflow) {
  const bool saturates = overflow == Overflow::sat_all || (overflow == Overflow::sat_finite && !infinite);
  if (saturates || format.specials == SpecialCodes::none) return sign | max_finite_code(format);
  return format.specials == SpecialCodes::ieee ? sign | (max_finite_code(format) + 1) : nan_code(format, sign);
}

/// The bits of a positive finite magnitude, rounded to the format's mantissa as if its exponent had no upper end:
/// consecutive codes are consecutive numbers, so a carry out of the mantissa is the next exponent.
constexpr std::uint64_t rounded_code(const FloatFormat& format, std::uint64_t magnitude, Ties ties) {
  const int exponent = int(magnitude >> kMantissaBits64) - kBias64;
  const int lowest = 1 - format.bias;
  const int shift = kMantissaBits64 - format.mantissa_bits + std::max(lowest - exponent, 0);
  if (shift > kMantissaBits64 + 1) return 0;  // below half of the smallest subnormal
  const std::uint64_t hidden = std::uint64_t{1} << kMantissaBits64;
  const std::uint64_t significand = (magnitude & (hidden - 1)) | hidden;
  const std::uint64_t kept = significand >> shift;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
  const std::uint64_t half = std::uint64_t{1} << (shift - 1);
  const std::uint64_t base = std::uint64_t(std::max(exponent - lowest, 0)) << format.mantissa_bits;
  const bool up = rest > half || (rest == half && (ties == Ties::away || (kept & 1)));
  return base + kept + (up ? 1 : 0);  // kept carries the hidden bit
}

constexpr double kSmallestPower = 0x1.0p-127, kLargestPower = 0x1.0p127;

constexpr std::uint32_t encode_power(double value, Overflow overflow) {
  constexpr std::uint32_t kNan = 255, kLargest = 254;
  if (value != value) return kNan;
  const bool infinite = (std::bit_cast<std::uint64_t>(value) & kMagnitude64) == kInfinity64;
  if (infinite && overflow != Overflow::sat_all) return kNan;
  if (!(value > 0)) return overflow == Overflow::special ? kNan : 0;
  if (value <= kSmallestPower) return 0;
  if (value < 2 * kSmallestPower) return 1;
  if (value >= 1.5 * kLargestPower) return overflow == Overflow::special ? kNan : kLargest;
  const std::uint64_t half = std::uint64_t{1} << (kMantissaBits64 - 1);
  return std::uint32_t((std::bit_cast<std::uint64_t>(value) + half) >> kMantissaBits64) - (kBias64 - 127);
}

constexpr std::uint32_t encode_code(const FloatFormat& format, double value, Overflow overflow, Ties ties) {
  if (format.specials == SpecialCodes::power) return encode_power(value, overflow);
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(value), magnitude = bits & kMagnitude64;
  const std::uint32_t sign = bits > kMagnitude64 ? sign_bit(format) : 0;
  if (magnitude > kInfinity64) return nan_code(format, sign);
  if (magnitude == kInfinity64) return overflow_code(format, sign, /*infinite=*/true, overflow);
  const std::uint64_t code = rounded_code(format, magnitude, ties);
  if (code > max_finite_code(format)) return overflow_code(format, sign, /*infinite=*/false, overflow);
  if (code == 0 && format.specials == SpecialCodes::minus_nan) return 0;
  return sign | std::uint32_t(code);
}

}  // namespace

std::span<const FloatFormat> float_formats() { return kFormats; }

const FloatFormat& float_format(std::string_view name) {
  for (const FloatFormat& format : kFormats)
    if (format.name == name) return format;
  std::vector<std::string> names;
  for (const FloatFormat& format : kFormats) names.emplace_back(format.name);
  throw InputError(fmt::format("float format '{}' is not known{}", name, suggestion(name, names)));
}

std::uint16_t encode(const FloatFormat& format, double value, Overflow overflow, Ties ties) {
  return std::uint16_t(encode_code(format, value, overflow, ties));
}

std::uint8_t e8m0_at_or_below(double value) {
  QB_EXPECTS(value > 0 && value <= std::numeric_limits<double>::max());
  const int exponent = int(std::bit_cast<std::uint64_t>(value) >> kMantissaBits64) - kBias64;
  return std::uint8_t(std::clamp(exponent + 127, 0, 254));
}

std::uint8_t e8m0_at_or_above(double value) {
  const std::uint8_t below = e8m0_at_or_below(value);
  return std::uint8_t(below < 254 && double(decode(kE8M0FNU, below)) < value ? below + 1 : below);
}

float f32_from_f16(std::uint16_t bits) { return decode(kFloat16, bits); }
std::uint16_t f16_from_f32(float value) { return encode(kFloat16, double(value)); }
float f32_from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t(bits) << 16); }
std::uint16_t bf16_from_f32(float value) { return encode(kBfloat16, double(value)); }

}  // namespace qb
