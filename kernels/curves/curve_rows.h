// Curves of vectors of float32, written once for all instruction sets: `Vector` is a struct of math_avx512.h and its
// like. Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/curves/curves.h"
#include "kernels/curves/exponential.h"

namespace qb {

namespace {

/// c[0] + c[1] x + ... by Horner's rule.
template <class Vector, int kTerms>
QB_INLINE typename Vector::Floats polynomial(const float (&c)[kTerms], typename Vector::Floats x) {
  typename Vector::Floats sum = Vector::all(c[kTerms - 1]);
  QB_UNROLL for (int i = kTerms - 2; i >= 0; --i) sum = Vector::multiply_add(sum, x, Vector::all(c[i]));
  return sum;
}

/// 1 / (1 + e^-x).
template <class Vector>
QB_INLINE typename Vector::Floats sigmoid(typename Vector::Floats x) {
  const auto one = Vector::all(1.0f), least = Vector::all(-80.0f);  // e^80 is what exponential() takes
  const auto negative = Vector::subtract(Vector::zero(), Vector::larger(least, x));
  return Vector::divide(one, Vector::add(one, exponential<Vector>(negative)));
}

// Coefficients are fitted at Chebyshev's nodes and rounded to float32.
constexpr float kTanhLow[] = {1.0f,           -0x1.555552p-2f, 0x1.111018p-3f, -0x1.b9e18ep-5f,
                              0x1.6308e8p-6f, -0x1.09930ep-7f, 0x1.107dacp-9f};
constexpr float kErfLow[] = {0x1.20dd74p+0f, -0x1.81273ep-2f, 0x1.ce2d18p-4f, -0x1.b7fb38p-6f,
                             0x1.541636p-8f, -0x1.a46b4p-11f, 0x1.4a9dacp-14f};
constexpr float kErfHigh[] = {0x1.0eccacp-11f, 0x1.19564ap-2f,  0x1.4cd78ep-2f, 0x1.df5e9cp-4f,
                              0x1.851df2p-2f,  -0x1.39dfcep-5f, -0x1.e9e2f4p-5f};

/// Below 0.625 x times a polynomial of degree 6 in x^2, within 2^-32 of tanh(x) / x; from there hyperbolic_tangent().
template <class Vector>
QB_INLINE typename Vector::Floats tanh_of(typename Vector::Floats x) {
  const auto low = Vector::multiply(x, polynomial<Vector>(kTanhLow, Vector::multiply(x, x)));
  return Vector::where_above(Vector::all(0.625f), Vector::magnitude(x), low, hyperbolic_tangent<Vector>(x));
}

/// The error function. Below 1 x times a polynomial of degree 6 in x^2, within 2^-29 of erf(x) / x; from there
/// 1 - e^(-x^2) times a polynomial of degree 6 in 1 / (1 + x / 2), within 2^-28.
template <class Vector>
QB_INLINE typename Vector::Floats erf_of(typename Vector::Floats x) {
  using Floats = typename Vector::Floats;
  const Floats one = Vector::all(1.0f), size = Vector::magnitude(x), square = Vector::multiply(x, x);
  const Floats t = Vector::divide(one, Vector::multiply_add(size, Vector::all(0.5f), one));
  const Floats rest =
      Vector::multiply(exponential<Vector>(Vector::subtract(Vector::zero(), square)), polynomial<Vector>(kErfHigh, t));
  return Vector::where_above(one, size, Vector::multiply(x, polynomial<Vector>(kErfLow, square)),
                             Vector::with_sign_of(Vector::subtract(one, rest), x));
}

template <class Vector>
QB_INLINE typename Vector::Floats half_of_one_and(typename Vector::Floats x, typename Vector::Floats share) {
  return Vector::multiply(Vector::multiply(Vector::all(0.5f), x), Vector::add(Vector::all(1.0f), share));
}

template <Curve kCurve, class Vector>
QB_INLINE typename Vector::Floats value_of(const CurveArgs& args, typename Vector::Floats x) {
  using Floats = typename Vector::Floats;
  if constexpr (kCurve == Curve::sigmoid) return sigmoid<Vector>(x);
  if constexpr (kCurve == Curve::swish)
    return Vector::multiply(x, sigmoid<Vector>(Vector::multiply(Vector::all(args.alpha), x)));
  if constexpr (kCurve == Curve::tanh) return tanh_of<Vector>(x);
  if constexpr (kCurve == Curve::erf) return erf_of<Vector>(x);
  if constexpr (kCurve == Curve::gelu)
    return half_of_one_and<Vector>(x, erf_of<Vector>(Vector::multiply(x, Vector::all(0.70710678f))));
  const Floats square = Vector::multiply(x, x);
  const Floats inner = Vector::multiply(Vector::multiply_add(Vector::multiply(Vector::all(0.044715f), square), x, x),
                                        Vector::all(0.79788456f));
  return half_of_one_and<Vector>(x, tanh_of<Vector>(inner));
}

/// No comparison holds for NaN.
template <Curve kCurve, class Vector>
QB_INLINE typename Vector::Floats value_or_nan(const CurveArgs& args, typename Vector::Floats x) {
  return Vector::where_above(Vector::magnitude(x), Vector::all(-1.0f), value_of<kCurve, Vector>(args, x), x);
}

template <Curve kCurve, class Vector>
void fill_all(const CurveArgs& args) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  std::int64_t i = 0;
  for (; i + kLanes <= args.count; i += kLanes)
    Vector::store(args.y + i, value_or_nan<kCurve, Vector>(args, Vector::load(args.x + i)));
  if (i < args.count)
    Vector::store_first(args.y + i, value_or_nan<kCurve, Vector>(args, Vector::load_first(args.x + i, args.count - i)),
                        args.count - i);
}

template <class Vector>
void fill_curve(const CurveArgs& args) {
  switch (args.curve) {
    case Curve::sigmoid: return fill_all<Curve::sigmoid, Vector>(args);
    case Curve::swish: return fill_all<Curve::swish, Vector>(args);
    case Curve::tanh: return fill_all<Curve::tanh, Vector>(args);
    case Curve::erf: return fill_all<Curve::erf, Vector>(args);
    case Curve::gelu: return fill_all<Curve::gelu, Vector>(args);
    case Curve::gelu_tanh: return fill_all<Curve::gelu_tanh, Vector>(args);
  }
}

}  // namespace

}  // namespace qb
