// Floats of 4 to 16 bits as bit patterns: one description per format, one encoder and one decoder for all of them.
// Sources: IEEE 754-2019 binary16; bfloat16 as the upper half of binary32; OCP 8-bit Floating Point 1.0 (E4M3, E5M2);
// OCP Microscaling Formats 1.0 (E3M2, E2M3, E2M1, E8M0); arXiv:2206.02915 (the fnuz variants).
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "kernels/base/error.h"

namespace qb {

/// What the codes mean that are no finite numbers.
enum class SpecialCodes : std::uint8_t {
  ieee,       ///< the top exponent: mantissa 0 is infinity, others are NaN
  one_nan,    ///< all ones below the sign is NaN; no infinity
  minus_nan,  ///< the code of minus zero is the only NaN; no infinity, no minus zero
  none,       ///< every code is a finite number
  power,      ///< no sign and no zero: code c is 2^(c - bias), all ones is NaN
};

/// A float format: sign (not with SpecialCodes::power), exponent, mantissa, from the high bit down. Exponent field 0
/// holds zero and subnormals, other fields e the numbers 1.mantissa * 2^(e - bias).
struct FloatFormat {
  std::string_view name;  ///< as used in ml_dtypes without its prefix, e.g. "e4m3fn"
  int exponent_bits;
  int mantissa_bits;
  int bias;
  SpecialCodes specials;
};

inline constexpr FloatFormat kE4M3FN = {"e4m3fn", 4, 3, 7, SpecialCodes::one_nan};
inline constexpr FloatFormat kE5M2 = {"e5m2", 5, 2, 15, SpecialCodes::ieee};
inline constexpr FloatFormat kE4M3FNUZ = {"e4m3fnuz", 4, 3, 8, SpecialCodes::minus_nan};
inline constexpr FloatFormat kE5M2FNUZ = {"e5m2fnuz", 5, 2, 16, SpecialCodes::minus_nan};
inline constexpr FloatFormat kE3M4 = {"e3m4", 3, 4, 3, SpecialCodes::ieee};
inline constexpr FloatFormat kE3M2FN = {"e3m2fn", 3, 2, 3, SpecialCodes::none};
inline constexpr FloatFormat kE2M3FN = {"e2m3fn", 2, 3, 1, SpecialCodes::none};
inline constexpr FloatFormat kE2M1FN = {"e2m1fn", 2, 1, 1, SpecialCodes::none};
inline constexpr FloatFormat kE8M0FNU = {"e8m0fnu", 8, 0, 127, SpecialCodes::power};
inline constexpr FloatFormat kFloat16 = {"float16", 5, 10, 15, SpecialCodes::ieee};
inline constexpr FloatFormat kBfloat16 = {"bfloat16", 8, 7, 127, SpecialCodes::ieee};

std::span<const FloatFormat> float_formats();            ///< all of the above
const FloatFormat& float_format(std::string_view name);  ///< throws InputError naming the nearest

constexpr int code_bits(const FloatFormat& format) {  ///< 4 to 16
  return format.exponent_bits + format.mantissa_bits + (format.specials == SpecialCodes::power ? 0 : 1);
}

/// The code of the largest finite number: the codes above it, up to the sign, are infinity or NaN.
constexpr std::uint16_t max_finite_code(const FloatFormat& format) {
  const unsigned magnitudes = 1u << (format.exponent_bits + format.mantissa_bits);
  switch (format.specials) {
    case SpecialCodes::ieee: return std::uint16_t(magnitudes - (1u << format.mantissa_bits) - 1);
    case SpecialCodes::one_nan:
    case SpecialCodes::power: return std::uint16_t(magnitudes - 2);
    case SpecialCodes::minus_nan:
    case SpecialCodes::none: break;
  }
  return std::uint16_t(magnitudes - 1);
}

/// What becomes of values whose rounded magnitude exceeds the largest finite number. Formats without infinity and NaN
/// saturate always.
enum class Overflow : std::uint8_t {
  special,     ///< infinity, or NaN where there is no infinity
  sat_finite,  ///< finite values become the largest finite number; infinities remain as with `special`
  sat_all,     ///< infinities become the largest finite number too (ONNX Cast with saturate = 1)
};

enum class Ties : std::uint8_t { even, away };

/// The code nearest to `value`; exactly one rounding, also from float64.
///
/// NaN keeps its sign and becomes the quiet NaN, or minus zero where there is none (as ml_dtypes does; OCP leaves it
/// open). A negative that rounds to zero becomes minus zero where there is one.
/// E8M0 takes positive values, ties upward whatever `ties` says (but binary32 subnormals above 2^-127 to 2^-126, as
/// ml_dtypes does). Zero and negatives become NaN with `special`, else code 0, the smallest power.
std::uint16_t encode(const FloatFormat& format, double value, Overflow overflow = Overflow::special,
                     Ties ties = Ties::even);

/// Exact. NaN codes give the positive quiet NaN; bits above the format's must be 0.
constexpr float decode(const FloatFormat& format, std::uint16_t code) {
  QB_EXPECTS(code >> code_bits(format) == 0);
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const unsigned magnitudes = 1u << (format.exponent_bits + format.mantissa_bits), magnitude = code % magnitudes;
  if (format.specials == SpecialCodes::minus_nan && code == magnitudes) return kNan;
  const bool infinite = format.specials == SpecialCodes::ieee && magnitude == max_finite_code(format) + 1u;
  if (magnitude > max_finite_code(format) && !infinite) return kNan;
  const bool power = format.specials == SpecialCodes::power;
  const unsigned field = magnitude >> format.mantissa_bits, hidden = 1u << format.mantissa_bits;
  const unsigned mantissa = magnitude % hidden | (field > 0 || power ? hidden : 0);
  const int exponent = int(power ? field : std::max(field, 1u)) - format.bias - format.mantissa_bits;
  const double unit = std::bit_cast<double>(std::uint64_t(exponent + 1023) << 52);  // 2^exponent
  const double value = infinite ? std::numeric_limits<double>::infinity() : double(mantissa) * unit;
  return static_cast<float>(code >= magnitudes ? -value : value);
}

constexpr float max_finite(const FloatFormat& format) {  ///< 448 for e4m3fn
  return decode(format, max_finite_code(format));
}

/// E8M0 with a chosen direction. `value` > 0 and finite; results are clamped to [0, 254].
std::uint8_t e8m0_at_or_below(double value);  ///< the largest power that is <= value
std::uint8_t e8m0_at_or_above(double value);  ///< the smallest power that is >= value (ONNX round_mode "up")

float f32_from_f16(std::uint16_t bits);    ///< exact; NaN stays NaN
std::uint16_t f16_from_f32(float value);   ///< overflow becomes infinity; subnormals are kept; NaN stays a quiet NaN
float f32_from_bf16(std::uint16_t bits);   ///< exact
std::uint16_t bf16_from_f32(float value);  ///< as f16_from_f32

}  // namespace qb
