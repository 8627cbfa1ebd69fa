#include "kernels/requantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr std::int64_t kLow = std::numeric_limits<std::int32_t>::min(),
                       kHigh = std::numeric_limits<std::int32_t>::max();

std::int32_t saturated(std::int64_t x) { return std::int32_t(std::clamp(x, kLow, kHigh)); }

/// a * b / 2^31 to the nearest integer, ties upward, saturated. From |a| = 2^32 on, b is a mantissa: at least 2^30.
std::int32_t high_product(std::int64_t a, std::int32_t b) {
  if (std::abs(a) >= std::int64_t(1) << 32) return saturated(a < 0 ? kLow : kHigh);
  const std::int64_t product = a * b, half = std::int64_t(1) << 30;
  return saturated((product + (product >= 0 ? half : 1 - half)) / (std::int64_t(1) << 31));
}

}  // namespace

std::string_view name_of(Requantization rounding) {
  switch (rounding) {
    case Requantization::double_rounding: return "double";
    case Requantization::single_rounding: return "single";
    case Requantization::float64: break;
  }
  return "float64";
}

FixedMultiplier fixed_multiplier(double real) {
  if (!(real >= 0 && real < 0x1p30))
    throw InputError(fmt::format("requantization multiplier {}: it must be in [0, 2^30)", real));
  int exponent = 0;
  const double fraction = std::frexp(real, &exponent);
  auto mantissa = std::int64_t(std::round(fraction * 0x1p31));
  if (mantissa == std::int64_t(1) << 31) {
    mantissa /= 2;
    ++exponent;
  }
  if (mantissa == 0 || exponent < -31) return {};
  return {std::int32_t(mantissa), exponent};
}

std::int32_t doubling_high_product(std::int32_t a, std::int32_t b) { return high_product(a, b); }

std::int32_t divide_by_power(std::int32_t x, int exponent) {
  QB_EXPECTS(exponent >= 0 && exponent <= 31);
  const auto mask = std::int32_t((std::int64_t(1) << exponent) - 1);
  const std::int32_t remainder = x & mask, threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

std::int32_t requantize(std::int32_t accumulator, const FixedMultiplier& multiplier, Requantization rounding) {
  const auto [mantissa, shift] = multiplier;
  QB_EXPECTS(mantissa >= 0 && shift >= -31 && shift <= 30);
  switch (rounding) {
    case Requantization::double_rounding: {
      const std::int64_t shifted = accumulator * (std::int64_t(1) << std::max(shift, 0));
      return divide_by_power(high_product(shifted, mantissa), std::max(-shift, 0));
    }
    case Requantization::single_rounding: {
      const int right = 31 - shift;
      return saturated((std::int64_t(accumulator) * mantissa + (std::int64_t(1) << (right - 1))) >> right);
    }
    case Requantization::float64: break;
  }
  return requantize(accumulator, std::ldexp(double(mantissa), shift - 31));
}

std::int32_t requantize(std::int32_t accumulator, double real) {
  QB_EXPECTS(std::isfinite(real));
  return std::int32_t(std::clamp(std::nearbyint(double(accumulator) * real), double(kLow), double(kHigh)));
}

}  // namespace qb
