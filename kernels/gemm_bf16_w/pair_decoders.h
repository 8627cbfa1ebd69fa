// Codes of weight_panels.h become pairs of bf16, as vdpbf16ps takes them. As decoders.h, with
// - kCheap: decoding once for four rows costs less than writing to a strip and reading from it;
// - pair(word, v, shift): two bf16 in each 32 bits, from the codes at bit `shift` of each 16.
// Included under instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_f32/vector_avx512.h"
#include "kernels/gemm_f32_w/decoders.h"

namespace qb {

namespace {

/// sum += two products each. Not the intrinsic: gcc 12 then moves sums to the stack.
QB_INLINE void add_pairs(__m512& sum, __m512i a, __m512i w) {
  __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
}

/// 32 levels of w.table from `first` on, which bf16 holds: their upper halves.
QB_INLINE __m512i load_bf16_levels(const WeightPanels& w, int first) {
  const __m512i low = _mm512_srli_epi32(_mm512_loadu_si512(w.table + first), 16);
  const __m512i high = _mm512_srli_epi32(_mm512_loadu_si512(w.table + first + 16), 16);
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1);
}

/// The levels of bf16 whose codes are the low bits of each 16, from a table with 32 levels in each register. The
/// permutations read the low 5 or 6 bits of an index.
template <int kBits>
QB_INLINE __m512i look_up_pairs(const __m512i* table, __m512i code) {
  if constexpr (kBits <= 5) {
    return _mm512_permutexvar_epi16(code, table[0]);
  } else {
    const __m512i below_64 = _mm512_permutex2var_epi16(table[0], code, table[1]);
    if constexpr (kBits == 6) return below_64;
    if constexpr (kBits >= 7) {
      const __mmask32 bit_6 = _mm512_test_epi16_mask(code, _mm512_set1_epi16(64));
      const __m512i from_64 = _mm512_permutex2var_epi16(table[2], code, table[3]);
      const __m512i below_128 = _mm512_mask_mov_epi16(below_64, bit_6, from_64);
      if constexpr (kBits == 7) return below_128;
      if constexpr (kBits == 8) {
        const __m512i from_128 = _mm512_permutex2var_epi16(table[4], code, table[5]);
        const __m512i from_192 = _mm512_permutex2var_epi16(table[6], code, table[7]);
        const __mmask32 bit_7 = _mm512_test_epi16_mask(code, _mm512_set1_epi16(128));
        return _mm512_mask_mov_epi16(below_128, bit_7, _mm512_mask_mov_epi16(from_128, bit_6, from_192));
      }
    }
  }
}

/// One table for all.
template <int kCodeBits, int kVectors>
struct PairLevels {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = kBits <= 6;
  static constexpr int kTables = kBits <= 5 ? 1 : 1 << (kBits - 5);
  __m512i table[kTables];

  QB_INLINE explicit PairLevels(const WeightPanels& w) {
    QB_UNROLL for (int i = 0; i < kTables; ++i) table[i] = load_bf16_levels(w, 32 * i);
  }
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE __m512i pair(__m512i word, int, int shift) const {
    return look_up_pairs<kBits>(table, Avx512::right_halves(word, shift));
  }
};

/// Floats of 8 bits: the table of the 128 magnitudes, and the code's sign.
template <int kCodeBits, int kVectors>
struct PairMagnitudes {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = false;
  static_assert(kBits == 8);
  PairLevels<7, kVectors> magnitudes;

  QB_INLINE explicit PairMagnitudes(const WeightPanels& w) : magnitudes(w) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE __m512i pair(__m512i word, int v, int shift) const {
    const __m512i magnitude = magnitudes.pair(word, v, shift);
    const __m512i sign_at_top = Avx512::left_halves(word, 8 - shift);
    return Avx512::masked_or(sign_at_top, _mm512_set1_epi16(std::int16_t(0x8000)), magnitude);
  }
};

/// code - zero, by way of float32, in which it is exact and whose lower half is 0.
template <int kCodeBits, int kVectors>
struct PairIntegers {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = false;
  Integers<Avx512, kBits, kVectors> integers;

  QB_INLINE explicit PairIntegers(const WeightPanels& w) : integers(w) {}
  QB_INLINE void begin_group(const unsigned char* parameters) { integers.begin_group(parameters); }
  QB_INLINE __m512i pair(__m512i word, int v, int shift) const {
    const __m512i low = _mm512_castps_si512(integers.low(word, v, shift));
    const __m512i high = _mm512_castps_si512(integers.high(word, v, shift));
    return _mm512_or_si512(_mm512_srli_epi32(low, 16), high);
  }
};

/// code - zero for codes and zeros of at most 5 bits: a number of 6 bits, and the place of its bf16 in a table.
template <int kCodeBits, int kVectors>
struct PairDifferences {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = true;
  static_assert(kBits <= 5);
  __m512i table[2], zero[kVectors];
  std::int64_t zeros_at;  ///< in a group's parameters

  QB_INLINE explicit PairDifferences(const WeightPanels& w) : zeros_at(bytes_of_scale(w.scale) * kVectors * 16) {
    alignas(64) std::uint16_t levels[64];
    for (int i = 0; i < 64; ++i) {
      const float difference = float(i < 32 ? i : i - 64);
      std::uint32_t bits;
      __builtin_memcpy(&bits, &difference, sizeof bits);
      levels[i] = std::uint16_t(bits >> 16);
    }
    QB_UNROLL for (int i = 0; i < 2; ++i) table[i] = _mm512_load_si512(levels + 32 * i);
  }
  QB_INLINE void begin_group(const unsigned char* parameters) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const __m512i own = Avx512::from_bytes(parameters + zeros_at + 16 * v);
      zero[v] = _mm512_or_si512(own, _mm512_slli_epi32(own, 16));
    }
  }
  QB_INLINE __m512i pair(__m512i word, int v, int shift) const {
    const __m512i code = _mm512_and_si512(Avx512::right_halves(word, shift), _mm512_set1_epi16((1 << kBits) - 1));
    return look_up_pairs<6>(table, _mm512_sub_epi16(code, zero[v]));
  }
};

/// bf16 values: pairs as they lie.
template <int kCodeBits, int kVectors>
struct PairValues {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kCheap = true;
  QB_INLINE explicit PairValues(const WeightPanels&) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE __m512i pair(__m512i word, int, int) const { return word; }
};

}  // namespace

}  // namespace qb
