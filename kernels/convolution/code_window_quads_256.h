// Four channels at a time with vpdpbusd in 256 bits: VEX-encoded where this is included under AVX-VNNI's flags,
// EVEX-encoded under those of AVX-512 VNNI.
#pragma once
#include "kernels/convolution/code_window_steps_avx2.h"
#include "kernels/gemm_s8_q8/tile_vnni_256.h"

namespace qb {

namespace {

/// A line holds four channels' codes.
struct QuadStep : CodeSums256 {
  using Pixel = std::int8_t;
  static constexpr int kColumnBytes = 4, kChannels = 4;

  template <int kPart>
  static QB_INLINE __m256i weights(const unsigned char* line) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(line));
  }
  static QB_INLINE __m256i operand(const std::int8_t* pixel) {
    std::int32_t four;
    __builtin_memcpy(&four, pixel, 4);
    return _mm256_set1_epi32(four);
  }
  static QB_INLINE void add(__m256i& sum, __m256i operand, __m256i weights) { dot(sum, weights, operand); }
};

}  // namespace

}  // namespace qb
