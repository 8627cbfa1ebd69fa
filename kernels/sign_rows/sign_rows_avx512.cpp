#include <immintrin.h>

#include "kernels/sign_rows/sign_rows.h"

namespace qb {

float sign_row_avx512(const float* x, std::int64_t k, std::uint64_t* bits) {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();  // sums over t mod 16: 0 .. 7 and 8 .. 15
  for (std::int64_t word = 0; word < (k + 63) / 64; ++word) {
    std::uint64_t signs = 0;
    for (int part = 0; part < 4; ++part) {
      const std::int64_t t = 64 * word + 16 * part, rest = k - t;
      const __mmask16 mask = rest >= 16 ? __mmask16(0xffff) : rest <= 0 ? __mmask16(0) : __mmask16((1u << rest) - 1u);
      const __m512 value = _mm512_maskz_loadu_ps(mask, x + t), magnitude = _mm512_abs_ps(value);
      signs |= std::uint64_t(_mm512_mask_cmp_ps_mask(mask, value, _mm512_setzero_ps(), _CMP_GE_OQ)) << (16 * part);
      low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(magnitude)));
      high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(magnitude, 1)));
    }
    bits[word] = signs;
  }
  alignas(64) double sums[16];
  _mm512_store_pd(sums, low);
  _mm512_store_pd(sums + 8, high);
  double sum = 0;
  for (const double part : sums) sum += part;
  return float(sum / double(k));
}

}  // namespace qb
