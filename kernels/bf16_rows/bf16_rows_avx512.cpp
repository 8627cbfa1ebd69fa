#include <immintrin.h>

#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

/// By integers: vcvtneps2bf16 would take subnormals as zero.
void bf16_row_avx512(const Bf16RowArgs& args) {
  const __m512i half = _mm512_set1_epi32(0x7fff), one = _mm512_set1_epi32(1), quiet_nan = _mm512_set1_epi32(0x7fc0);
  for (std::int64_t t = 0; t < args.padded; t += 16) {
    const std::int64_t rest = args.k - t, stored = args.padded - t;
    const __mmask16 mask = rest >= 16 ? __mmask16(0xffff) : rest <= 0 ? __mmask16(0) : __mmask16((1u << rest) - 1u);
    const __m512 x = _mm512_maskz_loadu_ps(mask, args.x + t);
    const __m512i bits = _mm512_castps_si512(x), upper = _mm512_srli_epi32(bits, 16);
    const __m512i up = _mm512_add_epi32(half, _mm512_and_si512(upper, one));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, up), 16);
    const __m512i nan = _mm512_or_si512(_mm512_and_si512(upper, _mm512_set1_epi32(0x8000)), quiet_nan);
    const __m512i values = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
    const __mmask16 place = stored >= 16 ? __mmask16(0xffff) : __mmask16((1u << stored) - 1u);
    _mm512_mask_cvtepi32_storeu_epi16(args.out + t, place, values);
  }
}

}  // namespace qb
