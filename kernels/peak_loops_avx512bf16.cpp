#include <immintrin.h>

#include "kernels/peak_loops.h"

namespace qb {

double bf16_peak_avx512bf16(std::int64_t steps) {
  constexpr int kChains = 24;
  __m512 sum[kChains], a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) __asm__ volatile("vdpbf16ps %1, %2, %0" : "+v"(sum[c]) : "v"(a), "v"(b));
  }
  return 2.0 * 32 * kChains * double(steps);
}

}  // namespace qb
