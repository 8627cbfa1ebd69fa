// Codes of 8 columns out of the planes of a chunk: four along k in each 32-bit lane, as unsigned bytes. Included under
// several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <immintrin.h>

#include "kernels/gemm_s8_int/gemm_s8_int.h"

#define QB_INLINE __attribute__((always_inline)) inline

namespace qb {

namespace {

/// Bits of quad kQuad from one plane, moved to bit kTo of their byte; the other bits of the byte are arbitrary.
template <int kPlane, int kTo, int kQuad>
QB_INLINE __m256i field(const std::uint8_t* lines) {
  const __m256i line = _mm256_load_si256(reinterpret_cast<const __m256i*>(lines + 32 * (kQuad % kPlane)));
  constexpr int kShift = kQuad / kPlane * kPlane - kTo;
  if constexpr (kShift > 0) return _mm256_srli_epi16(line, kShift);
  if constexpr (kShift < 0) return _mm256_slli_epi16(line, -kShift);
  return line;
}

/// The code of kBits bits at bit kTo of its byte; the other bits are 0.
template <int kBits, int kTo, int kQuad>
QB_INLINE __m256i code_at(const std::uint8_t* lines) {
  constexpr int kPlane = kBits >= 8 ? 8 : kBits >= 4 ? 4 : kBits >= 2 ? 2 : 1;
  const __m256i bits = field<kPlane, kTo, kQuad>(lines);
  if constexpr (kPlane == 8) return bits;
  const __m256i low = _mm256_and_si256(bits, _mm256_set1_epi8(char(((1 << kPlane) - 1) << kTo)));
  if constexpr (kPlane == kBits) return low;
  if constexpr (kPlane < kBits)
    return _mm256_or_si256(low, code_at<kBits - kPlane, kTo + kPlane, kQuad>(lines + 32 * kPlane));
}

/// Levels that are the codes themselves.
template <int kCodeBits>
struct PlainCodes256 {
  static constexpr int kBits = kCodeBits;
  static constexpr int kHighest = (1 << kBits) - 1;
  QB_INLINE explicit PlainCodes256(const S8Int&) {}
  template <int kQuad>
  QB_INLINE __m256i level(const std::uint8_t* lines) const {
    return code_at<kBits, 0, kQuad>(lines);
  }
};

/// Levels -1 and 1 as 0 and 2: a bit that is left one place higher.
struct SignCodes {
  static constexpr int kBits = 1;
  static constexpr int kHighest = 2;
  QB_INLINE explicit SignCodes(const S8Int&) {}
  template <int kQuad>
  QB_INLINE __m256i level(const std::uint8_t* lines) const {
    return code_at<1, 1, kQuad>(lines);
  }
};

QB_INLINE __m256i table_of(const std::uint8_t* levels) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
}

/// 16 levels up to kHighestLevel, looked up within each 16 bytes.
template <int kHighestLevel>
struct Levels16 {
  static constexpr int kBits = 4;
  static constexpr int kHighest = kHighestLevel;
  __m256i table;
  QB_INLINE explicit Levels16(const S8Int& at) : table(table_of(at.level)) {}
  template <int kQuad>
  QB_INLINE __m256i level(const std::uint8_t* lines) const {
    return _mm256_shuffle_epi8(table, code_at<4, 0, kQuad>(lines));
  }
};

/// 64 levels as four tables of 16, of which bits 4 and 5 of the code choose one.
struct Levels64 {
  static constexpr int kBits = 6;
  static constexpr int kHighest = 127;
  __m256i table[4];
  QB_INLINE explicit Levels64(const S8Int& at) {
    for (int t = 0; t < 4; ++t) table[t] = table_of(at.level + 16 * t);
  }
  template <int kQuad>
  QB_INLINE __m256i level(const std::uint8_t* lines) const {
    const __m256i code = code_at<6, 0, kQuad>(lines);
    const __m256i within = _mm256_and_si256(code, _mm256_set1_epi8(0x0f));
    const __m256i odd = _mm256_slli_epi16(code, 3), high = _mm256_slli_epi16(code, 2);  // in the top bit of each byte
    const auto pick = [&](int even) __attribute__((always_inline)) {
      return _mm256_blendv_epi8(_mm256_shuffle_epi8(table[even], within), _mm256_shuffle_epi8(table[even + 1], within),
                                odd);
    };
    return _mm256_blendv_epi8(pick(0), pick(2), high);
  }
};

}  // namespace

}  // namespace qb
