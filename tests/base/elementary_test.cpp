#include "kernels/base/elementary.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/base/random.h"

namespace qb {
namespace {

/// Distance in units in the last place of two doubles of equal sign.
std::int64_t ulps(double a, double b) {
  const std::int64_t distance = std::bit_cast<std::int64_t>(a) - std::bit_cast<std::int64_t>(b);
  return distance < 0 ? -distance : distance;
}

// The C library's own error is below one unit, ours is promised to be below two.
constexpr std::int64_t kUlps = 3;

}  // namespace

TEST_CASE("the exponential agrees with the C library's") {
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const double x = i % 2 ? random.uniform(-708.0, 709.0) : random.uniform(-2.0, 2.0);
    REQUIRE_MESSAGE(ulps(portable_exp(x), std::exp(x)) <= kUlps, x);
  }
  CHECK(portable_exp(0.0) == 1.0);
  CHECK(portable_exp(-709.0) == 0.0);
  CHECK(std::isinf(portable_exp(710.0)));
  CHECK(std::isnan(portable_exp(std::numeric_limits<double>::quiet_NaN())));
}

TEST_CASE("the logarithm agrees with the C library's") {
  Random random(2);
  for (int i = 0; i < 200000; ++i) {
    // Positive normal numbers of any exponent, or numbers around one, where the result is small.
    const double any = std::bit_cast<double>(random() % 0x7fe0000000000000u + 0x0010000000000000u);
    const double x = i % 2 ? any : random.uniform(0.5, 2.0);
    REQUIRE_MESSAGE(ulps(portable_log(x), std::log(x)) <= kUlps, x);
  }
  CHECK(portable_log(1.0) == 0.0);
  CHECK(std::isinf(portable_log(std::numeric_limits<double>::infinity())));
  CHECK(portable_log(0.0) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(portable_log(-1.0)));
}

}  // namespace qb
