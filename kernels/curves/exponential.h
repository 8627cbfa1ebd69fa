// e^x and tanh(x) of vectors of float32. Included under several instruction-set flags: everything is anonymous and
// inlined.
#pragma once
#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

/// e^x for x in [-infinity, 80], within 2 units in the last place and 1 at 0; 0 below -87.3 (no subnormals).
/// Method: x = (k + r) ln 2 with |r| <= 1/2, where r is made by two fused multiply-adds with log2(e) in two parts; 2^r
/// by a polynomial of degree 6 whose largest relative error is the least (2^-28.9), with 1 at 0.
template <class Vector>
QB_INLINE typename Vector::Floats exponential(typename Vector::Floats x) {
  using Floats = typename Vector::Floats;
  const Floats log2e = Vector::all(0x1.715476p+0f);
  const Floats k = Vector::round(Vector::multiply(x, log2e));
  const Floats r = Vector::multiply_add(x, Vector::all(0x1.4ae0cp-26f), Vector::multiply_subtract(x, log2e, k));
  Floats sum = Vector::all(0x1.41fb2ep-13f);
  sum = Vector::multiply_add(sum, r, Vector::all(0x1.5f3f3p-10f));
  sum = Vector::multiply_add(sum, r, Vector::all(0x1.3b2d5p-7f));
  sum = Vector::multiply_add(sum, r, Vector::all(0x1.c6aee6p-5f));
  sum = Vector::multiply_add(sum, r, Vector::all(0x1.ebfbdcp-3f));
  sum = Vector::multiply_add(sum, r, Vector::all(0x1.62e43p-1f));
  sum = Vector::multiply_add(sum, r, Vector::all(1.0f));
  return Vector::times_power_above(sum, k, x, Vector::all(-87.3f));
}

/// Within 2^-22, absolutely: (1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x.
template <class Vector>
QB_INLINE typename Vector::Floats hyperbolic_tangent(typename Vector::Floats x) {
  const auto one = Vector::all(1.0f);
  const auto e = exponential<Vector>(Vector::multiply(Vector::magnitude(x), Vector::all(-2.0f)));
  return Vector::with_sign_of(Vector::divide(Vector::subtract(one, e), Vector::add(one, e)), x);
}

}  // namespace

}  // namespace qb
