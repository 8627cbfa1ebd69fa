// What functions of vectors of float32 need beyond sums and products, on 16 lanes of AVX-512. Included under several
// instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

namespace {

struct Avx512Math : Avx512 {
  static QB_INLINE Floats multiply_subtract(Floats a, Floats b, Floats c) { return _mm512_fmsub_ps(a, b, c); }
  static QB_INLINE Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static QB_INLINE Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static QB_INLINE Floats round(Floats a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static QB_INLINE Floats magnitude(Floats a) { return _mm512_abs_ps(a); }
  static QB_INLINE Floats with_sign_of(Floats a, Floats sign) {
    return _mm512_or_ps(a, _mm512_and_ps(sign, all(-0.0f)));
  }
  /// Lane by lane: chosen where a > b, otherwise else.
  static QB_INLINE Floats where_above(Floats a, Floats b, Floats chosen, Floats otherwise) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), otherwise, chosen);
  }
  /// a * 2^k where x >= least, 0 elsewhere.
  static QB_INLINE Floats times_power_above(Floats a, Floats k, Floats x, Floats least) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, least, _CMP_GE_OQ), a, k);
  }
};

}  // namespace

}  // namespace qb
