#include <immintrin.h>

#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

namespace {

/// The sums whose upper halves are the rounded values. By integers: vcvtneps2bf16 would take subnormals as zero.
inline __m512i round_upper(__m512i bits) {
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  return _mm512_add_epi32(bits, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd));
}

inline __m512i with_quiet_nans(__m512 x, __m512i sums) {
  const __m512i sign = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(std::int32_t(0x80000000u)));
  const __m512i nan = _mm512_or_si512(sign, _mm512_set1_epi32(0x7fc00000));
  return _mm512_mask_mov_epi32(sums, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
}

/// 32 values, which all exist.
inline void convert_whole(const float* x, std::uint16_t* out) {
  const __m512i upper_halves =
      _mm512_add_epi16(_mm512_slli_epi16(_mm512_set_epi16(31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
                                                          16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                         1),
                       _mm512_set1_epi16(1));
  const __m512 first = _mm512_loadu_ps(x), second = _mm512_loadu_ps(x + 16);
  __m512i low = round_upper(_mm512_castps_si512(first)), high = round_upper(_mm512_castps_si512(second));
  if (_mm512_cmp_ps_mask(first, second, _CMP_UNORD_Q) != 0) [[unlikely]] {
    low = with_quiet_nans(first, low);
    high = with_quiet_nans(second, high);
  }
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(low, upper_halves, high));
}

}  // namespace

void bf16_row_avx512(const Bf16RowArgs& args) {
  std::int64_t t = 0;
  for (; t + 32 <= args.k; t += 32) convert_whole(args.x + t, args.out + t);
  for (; t < args.padded; t += 16) {
    const std::int64_t rest = args.k - t, stored = args.padded - t;
    const __mmask16 mask = rest >= 16 ? __mmask16(0xffff) : rest <= 0 ? __mmask16(0) : __mmask16((1u << rest) - 1u);
    const __m512 x = _mm512_maskz_loadu_ps(mask, args.x + t);
    const __m512i values = _mm512_srli_epi32(with_quiet_nans(x, round_upper(_mm512_castps_si512(x))), 16);
    const __mmask16 place = stored >= 16 ? __mmask16(0xffff) : __mmask16((1u << stored) - 1u);
    _mm512_mask_cvtepi32_storeu_epi16(args.out + t, place, values);
  }
}

}  // namespace qb
