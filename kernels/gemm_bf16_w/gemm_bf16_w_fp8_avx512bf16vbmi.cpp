#include "kernels/gemm_bf16_w/gemm_bf16_w.h"
#include "kernels/gemm_bf16_w/multiply_pairs.h"

namespace qb {

namespace {

/// Floats of 8 bits: the upper and the lower bytes of the 128 magnitudes, and the code's sign. One look-up serves both
/// pairs of a word.
template <int kCodeBits, int kVectors>
struct PairBytes {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = true;
  static_assert(kBits == 8);
  __m512i lower[2], upper[2];

  QB_INLINE explicit PairBytes(const WeightPanels& w) {
    alignas(64) unsigned char bytes[2][128];
    for (int i = 0; i < 128; ++i) {
      std::uint32_t magnitude;
      __builtin_memcpy(&magnitude, w.table + i, sizeof magnitude);
      bytes[0][i] = static_cast<unsigned char>(magnitude >> 16);
      bytes[1][i] = static_cast<unsigned char>(magnitude >> 24);
    }
    QB_UNROLL for (int i = 0; i < 2; ++i) {
      lower[i] = _mm512_load_si512(bytes[0] + 64 * i);
      upper[i] = _mm512_load_si512(bytes[1] + 64 * i);
    }
  }
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE __m512i pair(__m512i word, int, int shift) const {
    const __m512i low = _mm512_permutex2var_epi8(lower[0], word, lower[1]);
    const __m512i magnitude = _mm512_permutex2var_epi8(upper[0], word, upper[1]);
    const __m512i high = Avx512::masked_or(word, _mm512_set1_epi8(std::int8_t(0x80)), magnitude);
    if (shift == 0) return Avx512::masked_or(low, _mm512_set1_epi16(0xff), Avx512::left_halves(high, 8));
    return Avx512::masked_or(high, _mm512_set1_epi16(std::int16_t(0xff00)), Avx512::right_halves(low, 8));
  }
};

}  // namespace

void gemm_bf16_w_fp8_avx512bf16vbmi(const GemmArgs& args) { multiply_all_panels<PairBytes, 8>(args); }

}  // namespace qb
