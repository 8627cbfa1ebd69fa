// Products of bytes by vpdpbusd in 256 bits: VEX-encoded where this is included under AVX-VNNI's flags, EVEX-encoded
// under those of AVX-512 VNNI.
#pragma once
#include "kernels/gemm_s8_int/panels_avx2.h"

namespace qb {

namespace {

template <int>
struct VnniDot {
  static constexpr int kParts = 1;
  static QB_INLINE __m256i keep(__m256i level) { return level; }

  template <int kQuads>
  static QB_INLINE __m256i sum(const __m256i (&levels)[1][kQuads], const std::int8_t* a) {
    __m256i even = _mm256_setzero_si256(), odd = even;
    QB_UNROLL for (int q = 0; q < kQuads; q += 2) {
      even = _mm256_dpbusd_epi32(even, levels[0][q], broadcast_four(a + 4 * q));
      odd = _mm256_dpbusd_epi32(odd, levels[0][q + 1], broadcast_four(a + 4 * q + 4));
    }
    return _mm256_add_epi32(even, odd);
  }
};

}  // namespace

}  // namespace qb
