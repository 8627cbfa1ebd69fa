// Codes of 16 columns out of the planes of a chunk: four along k in each 32-bit lane, as unsigned bytes. Included under
// several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <immintrin.h>

#include "kernels/gemm_s8_int/gemm_s8_int.h"

#define QB_INLINE __attribute__((always_inline)) inline

namespace qb {

namespace {

constexpr int largest_power_within(int bits) { return bits >= 8 ? 8 : bits >= 4 ? 4 : bits >= 2 ? 2 : 1; }

/// Bits of quad kQuad from one plane, moved to bit kTo of their byte; the other bits of the byte are arbitrary.
template <int kPlane, int kTo, int kQuad>
QB_INLINE __m512i field(const std::uint8_t* lines) {
  const __m512i line = _mm512_load_si512(lines + 64 * (kQuad % kPlane));
  constexpr int kShift = kQuad / kPlane * kPlane - kTo;
  if constexpr (kShift > 0) return _mm512_srli_epi16(line, kShift);
  if constexpr (kShift < 0) return _mm512_slli_epi16(line, -kShift);
  return line;
}

/// The code of kBits bits at bit kTo of its byte; the other bits are arbitrary.
template <int kBits, int kTo, int kQuad>
QB_INLINE __m512i code_at(const std::uint8_t* lines) {
  constexpr int kPlane = largest_power_within(kBits);
  const __m512i low = field<kPlane, kTo, kQuad>(lines);
  if constexpr (kPlane == kBits) {
    return low;
  } else {
    const __m512i high = code_at<kBits - kPlane, kTo + kPlane, kQuad>(lines + 64 * kPlane);
    constexpr int kWhereLowElseHigh = 0xca;
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8(char((1 << (kTo + kPlane)) - 1)), low, high, kWhereLowElseHigh);
  }
}

/// Levels that are the codes themselves.
template <int kCodeBits>
struct PlainCodes {
  static constexpr int kBits = kCodeBits;
  static constexpr bool kIntegers = true;
  static constexpr bool kStaysInPlace = kCodeBits == 1 || kCodeBits == 2 || kCodeBits == 4;
  QB_INLINE explicit PlainCodes(const S8Int&) {}
  template <int kQuad>
  QB_INLINE __m512i level(const std::uint8_t* lines) const {
    if constexpr (kBits == 8) return _mm512_load_si512(lines + 64 * kQuad);
    return _mm512_and_si512(code_at<kBits, 0, kQuad>(lines), _mm512_set1_epi8(char((1 << kBits) - 1)));
  }

  /// The level times 2^(kQuad / kBits * kBits), and what a sum of levels in place 0 is worth in levels. kStaysInPlace.
  template <int kQuad>
  QB_INLINE __m512i in_place(const std::uint8_t* lines) const {
    constexpr int kMask = ((1 << kBits) - 1) << kQuad / kBits * kBits;
    return _mm512_and_si512(_mm512_load_si512(lines + 64 * (kQuad % kBits)), _mm512_set1_epi8(char(kMask)));
  }
  QB_INLINE static __m512i from_place(__m512i sum) { return sum; }
};

/// Writes the levels of a chunk, eight quads.
template <int kQuad = 0, class Codes>
QB_INLINE void unpack(const Codes& codes, const std::uint8_t* lines, __m512i* quads) {
  quads[kQuad] = codes.template level<kQuad>(lines);
  if constexpr (kQuad < 7) unpack<kQuad + 1>(codes, lines, quads);
}

}  // namespace

}  // namespace qb
