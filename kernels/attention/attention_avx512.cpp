#include "kernels/attention/few_queries.h"
#include "kernels/attention/query_strips.h"
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

namespace {

struct AttentionAvx512 : Avx512 {
  static constexpr int kStripVectors = 4, kFewQueries = 8, kFewRows = 4, kFewSums = 16;

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
  static QB_INLINE Floats deal_low(Floats a, Floats b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
  }
  static QB_INLINE Floats deal_high(Floats a, Floats b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
                                  b);
  }
};

}  // namespace

void attention_avx512(const AttentionArgs& args) {
  if (args.queries <= AttentionAvx512::kFewQueries) return attend_few<AttentionAvx512>(args);
  attend_strips<AttentionAvx512>(args);
}

}  // namespace qb
