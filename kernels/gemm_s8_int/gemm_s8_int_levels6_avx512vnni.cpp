#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

namespace {

/// 64 levels as four tables of 16, of which bits 4 and 5 of the code choose one.
struct Levels64 {
  static constexpr int kBits = 6;
  static constexpr bool kIntegers = false, kStaysInPlace = false;
  __m512i table[4];
  QB_INLINE explicit Levels64(const S8Int& at) {
    for (int t = 0; t < 4; ++t)
      table[t] = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at.level + 16 * t)));
  }
  template <int kQuad>
  QB_INLINE __m512i level(const std::uint8_t* lines) const {
    const __m512i code = code_at<6, 0, kQuad>(lines);
    const __m512i within = _mm512_and_si512(code, _mm512_set1_epi8(0x0f));
    const __mmask64 odd = _mm512_test_epi8_mask(code, _mm512_set1_epi8(0x10));
    const __mmask64 high = _mm512_test_epi8_mask(code, _mm512_set1_epi8(0x20));
    const __m512i low_half = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(table[0], within), odd, table[1], within);
    const __m512i high_half = _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(table[2], within), odd, table[3], within);
    return _mm512_mask_mov_epi8(low_half, high, high_half);
  }
};

}  // namespace

void gemm_s8_int_levels6_avx512vnni(const GemmArgs& args) { fill_columns<Levels64>(args); }

}  // namespace qb
