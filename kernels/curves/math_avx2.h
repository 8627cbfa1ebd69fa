// What functions of vectors of float32 need beyond sums and products, on 8 lanes of AVX2. Included under several
// instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_f32/vector_avx2.h"

namespace qb {

namespace {

struct Avx2Math : Avx2 {
  static QB_INLINE Floats multiply_subtract(Floats a, Floats b, Floats c) { return _mm256_fmsub_ps(a, b, c); }
  static QB_INLINE Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static QB_INLINE Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static QB_INLINE Floats round(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static QB_INLINE Floats magnitude(Floats a) { return _mm256_andnot_ps(all(-0.0f), a); }
  static QB_INLINE Floats with_sign_of(Floats a, Floats sign) {
    return _mm256_or_ps(a, _mm256_and_ps(sign, all(-0.0f)));
  }
  /// Lane by lane: chosen where a > b, otherwise else.
  static QB_INLINE Floats where_above(Floats a, Floats b, Floats chosen, Floats otherwise) {
    return _mm256_blendv_ps(otherwise, chosen, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
  }
  /// a * 2^k where x >= least, 0 elsewhere; neither a nor the product is subnormal.
  static QB_INLINE Floats times_power_above(Floats a, Floats k, Floats x, Floats least) {
    const Words exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(k), 23);
    const Floats product = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
    return _mm256_and_ps(product, _mm256_cmp_ps(x, least, _CMP_GE_OQ));
  }
};

}  // namespace

}  // namespace qb
