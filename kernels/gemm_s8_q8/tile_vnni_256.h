// A tile of vpdpbusd in 256 bits: VEX-encoded where this is included under AVX-VNNI's flags, EVEX-encoded under those
// of AVX-512 VNNI.
#pragma once
#include "kernels/gemm_s8_q8/panels_avx2.h"

namespace qb {

namespace {

#if defined(__AVX512VNNI__)
#define QB_VPDPBUSD "vpdpbusd"
#else
#define QB_VPDPBUSD "%{vex%} vpdpbusd"
#endif

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then keeps the sums of a full tile
/// on the stack.
QB_INLINE void dot(__m256i& sum, __m256i unsigned_bytes, __m256i signed_bytes) {
  __asm__(QB_VPDPBUSD " %2, %1, %0" : "+x"(sum) : "x"(unsigned_bytes), "x"(signed_bytes));
}

struct VnniTile {
  static constexpr int kRows = 6;
  static constexpr std::int64_t kQuad = 4;

  template <int kRowsHere, int kVectors>
  static void fill(const GemmArgs& args, const Panel& panel, std::int64_t i) {
    const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    __m256i sum[kRowsHere][kVectors];
    QB_UNROLL for (int r = 0; r < kRowsHere; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
        _mm256_setzero_si256();
    const std::uint8_t* codes = panel.codes;
    for (std::int64_t t = 0; t < args.k; t += kQuad, codes += 32 * kVectors) {
      __m256i column[kVectors];
      QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + 32 * v));
      QB_UNROLL for (int r = 0; r < kRowsHere; ++r) {
        std::int32_t four;
        __builtin_memcpy(&four, a + r * args.a_stride + t, 4);
        const __m256i row = _mm256_set1_epi32(four);
        QB_UNROLL for (int v = 0; v < kVectors; ++v) dot(sum[r][v], column[v], row);
      }
    }
    QB_UNROLL for (int r = 0; r < kRowsHere; ++r) finish_row<kVectors>(args, panel, i + r, sum[r]);
  }
};

}  // namespace

}  // namespace qb
