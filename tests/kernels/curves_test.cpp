// Functions of one value, every variant against the reference in float64.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/curves/best_curves.h"

namespace qb {
namespace {

std::vector<CurveFn> variants() {
  std::vector<CurveFn> all;
  for (const Isa cap : {Isa::avx2, Isa::avx2 | Isa::avx512, Isa::neon})
    if (includes(host_isa(), cap)) all.push_back(best_curves(cap));
  return all;
}

/// Evenly spread, then every power of two, of both signs.
std::vector<float> places() {
  std::vector<float> x;
  for (int i = -100000; i <= 100000; ++i) x.push_back(float(i) * 0x1p-12f);
  for (int e = -126; e <= 10; ++e)
    for (const float size : {1.0f, 1.37f})
      for (const float sign : {-1.0f, 1.0f}) x.push_back(sign * size * std::ldexp(1.0f, e));
  x.push_back(0.0f);
  return x;
}

std::vector<float> values_of(CurveFn curves, Curve curve, const std::vector<float>& x) {
  std::vector<float> y(x.size(), -7.0f);
  curves({curve, 1.25f, x.data(), y.data(), std::int64_t(x.size())});
  return y;
}

TEST_CASE("every variant of every curve lies as near to the reference as is said") {
  const std::vector<float> x = places();
  for (int c = 0; c < kCurves; ++c) {
    const auto curve = Curve(c);
    const std::vector<float> wanted = values_of(curves_ref, curve, x);
    for (const CurveFn variant : variants()) {
      const std::vector<float> got = values_of(variant, curve, x);
      double worst = 0;
      float at = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const bool relative_to_x = curve == Curve::swish || curve == Curve::gelu || curve == Curve::gelu_tanh;
        const double size = std::abs(double(relative_to_x ? x[i] : wanted[i]));
        const double error = std::abs(double(got[i]) - double(wanted[i])) / (0x1p-21 * size + 0x1p-100);
        if (!(error <= worst)) worst = error, at = x[i];
      }
      INFO("curve ", c, ", at ", at);
      CHECK(worst <= 1.0);
    }
  }
}

TEST_CASE("a curve does not depend on neighbours, nor write behind its end, and keeps what is no number") {
  const std::vector<float> x = places();
  const std::vector<float> some(x.begin() + 90000, x.begin() + 90000 + 40);
  for (const CurveFn variant : variants())
    for (int c = 0; c < kCurves; ++c) {
      const std::vector<float> wanted = values_of(variant, Curve(c), some);
      for (std::int64_t count = 0; count <= 40; ++count) {
        std::vector<float> y(41, -7.0f);
        variant({Curve(c), 1.25f, some.data(), y.data(), count});
        for (std::size_t i = 0; i < 41; ++i) CHECK(y[i] == (std::int64_t(i) < count ? wanted[i] : -7.0f));
      }
      const float bad = std::numeric_limits<float>::quiet_NaN();
      CHECK(std::isnan(values_of(variant, Curve(c), {1.0f, bad, 2.0f})[1]));
    }
  const float far = std::numeric_limits<float>::infinity();
  for (const CurveFn variant : variants()) {
    CHECK(values_of(variant, Curve::tanh, {-far, far}) == std::vector{-1.0f, 1.0f});
    CHECK(values_of(variant, Curve::erf, {-far, far}) == std::vector{-1.0f, 1.0f});
    CHECK(values_of(variant, Curve::sigmoid, {far})[0] == 1.0f);
    CHECK(values_of(variant, Curve::sigmoid, {-far})[0] < 1e-30f);
  }
}

}  // namespace
}  // namespace qb
