#include <immintrin.h>

#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

namespace {

/// Eight bf16 in the low halves of eight lanes.
__attribute__((always_inline)) inline __m256i round_eight(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x), upper = _mm256_srli_epi32(bits, 16);
  const __m256i up = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(upper, _mm256_set1_epi32(1)));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, up), 16);
  const __m256i nan = _mm256_or_si256(_mm256_and_si256(upper, _mm256_set1_epi32(0x8000)), _mm256_set1_epi32(0x7fc0));
  return _mm256_blendv_epi8(rounded, nan, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

}  // namespace

void bf16_row_avx2(const Bf16RowArgs& args) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (std::int64_t t = 0; t < args.padded; t += 8) {
    const std::int64_t rest = args.k - t, stored = args.padded - t;
    const auto loaded = int(rest > 8 ? 8 : rest < 0 ? 0 : rest);
    const __m256 x = _mm256_maskload_ps(args.x + t, _mm256_cmpgt_epi32(_mm256_set1_epi32(loaded), lanes));
    const __m256i eight = round_eight(x);
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    std::uint16_t values[8];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(stored >= 8 ? args.out + t : values), packed);
    for (std::int64_t i = 0; stored < 8 && i < stored; ++i) args.out[t + i] = values[i];
  }
}

}  // namespace qb
