// Functions of one float32 each that networks put between their products.
//
// Deliberately without member functions: this header is compiled under every instruction-set flag.
#pragma once
#include <cstdint>

namespace qb {

enum class Curve : std::uint8_t {
  sigmoid,    ///< 1 / (1 + e^-x)
  swish,      ///< x / (1 + e^(-alpha x)): Ramachandran, Zoph and Le (arXiv:1710.05941)
  tanh,       ///< hyperbolic tangent
  erf,        ///< 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x
  gelu,       ///< x (1 + erf(x / sqrt 2)) / 2: Hendrycks and Gimpel (arXiv:1606.08415)
  gelu_tanh,  ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2: the same, section 2
};
inline constexpr int kCurves = 6;

struct CurveArgs {
  Curve curve;
  float alpha;  ///< of swish only
  const float* x;
  float* y;  ///< [count]; may be x
  std::int64_t count;
};
using CurveFn = void (*)(const CurveArgs&);

/// y[i] = curve(x[i]).
///
/// Numbers    the reference computes in float64 and rounds. The others lie within 2^-21 |y| of it, swish, gelu and gelu_tanh
///            within 2^-21 |x|, but for what lies below 2^-100. NaN gives NaN; infinite x of swish and gelu, whose
///            limits floats do not reach, give any value.
/// Threads    reentrant. A result does not depend on its neighbours.
void curves_ref(const CurveArgs& args);
void curves_avx2(const CurveArgs& args);
void curves_avx512(const CurveArgs& args);
void curves_neon(const CurveArgs& args);

}  // namespace qb
