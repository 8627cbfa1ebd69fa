#include <immintrin.h>

#include "kernels/sign_rows/sign_rows.h"

namespace qb {

float sign_row_avx2(const float* x, std::int64_t k, std::uint64_t* bits) {
  const __m256 without_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256d sums[4];  // over t mod 16, four each
  for (__m256d& sum : sums) sum = _mm256_setzero_pd();
  for (std::int64_t word = 0; word < (k + 63) / 64; ++word) {
    std::uint64_t signs = 0;
#pragma GCC unroll 8
    for (int part = 0; part < 8; ++part) {
      const std::int64_t t = 64 * word + 8 * part, rest = k - t;
      const int count = rest >= 8 ? 8 : rest <= 0 ? 0 : int(rest);
      const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      const __m256 value = _mm256_maskload_ps(x + t, mask);
      const __m256 positive = _mm256_cmp_ps(value, _mm256_setzero_ps(), _CMP_GE_OQ);
      const int signs_here = _mm256_movemask_ps(_mm256_and_ps(positive, _mm256_castsi256_ps(mask)));
      signs |= std::uint64_t(signs_here) << (8 * part);
      const __m256 magnitude = _mm256_and_ps(value, without_sign);
      __m256d* sum = sums + part % 2 * 2;
      sum[0] = _mm256_add_pd(sum[0], _mm256_cvtps_pd(_mm256_castps256_ps128(magnitude)));
      sum[1] = _mm256_add_pd(sum[1], _mm256_cvtps_pd(_mm256_extractf128_ps(magnitude, 1)));
    }
    bits[word] = signs;
  }
  double sum = 0;
  for (const __m256d& part : sums) {
    alignas(32) double lanes[4];
    _mm256_store_pd(lanes, part);
    for (const double lane : lanes) sum += lane;
  }
  return float(sum / double(k));
}

}  // namespace qb
