// Tables of 32 to 256 float32, each in registers: 32 levels for each permutation, and one choice for each bit above.
// Included under instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_f32/vector_avx512.h"
#include "kernels/gemm_f32_w/multiply_channel_tables.h"

namespace qb {

namespace {

template <int kBits>
requires(kBits > 4) struct ChannelTable<Avx512, kBits> {
  static constexpr int kRegisters = 1 << (kBits - 4);
  static constexpr int kRows = kRegisters == 2 ? 2 : 0;
  __m512 levels[kRegisters];

  QB_INLINE explicit ChannelTable(const unsigned char* table) {
    QB_UNROLL for (int i = 0; i < kRegisters; ++i) levels[i] =
        _mm512_loadu_ps(reinterpret_cast<const float*>(table) + 16 * i);
  }
  /// Levels of the kCount registers from kFirst on, by the low bits of each word.
  template <int kFirst, int kCount>
  QB_INLINE __m512 among(__m512i words) const {
    if constexpr (kCount == 2) {
      return _mm512_permutex2var_ps(levels[kFirst], words, levels[kFirst + 1]);
    } else {
      const __mmask16 upper = _mm512_test_epi32_mask(words, _mm512_set1_epi32(8 * kCount));
      return _mm512_mask_mov_ps(among<kFirst, kCount / 2>(words), upper, among<kFirst + kCount / 2, kCount / 2>(words));
    }
  }
  QB_INLINE __m512 look_up(__m512i words) const { return among<0, kRegisters>(words); }
};

}  // namespace

}  // namespace qb
