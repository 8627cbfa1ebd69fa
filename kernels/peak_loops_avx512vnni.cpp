#include <immintrin.h>

#include "kernels/peak_loops.h"

namespace qb {

double s8_peak_avx512vnni(std::int64_t steps) {
  constexpr int kChains = 24;
  __m512i sum[kChains], a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) __asm__ volatile("vpdpbusd %1, %2, %0" : "+v"(sum[c]) : "v"(a), "v"(b));
  }
  return 2.0 * 64 * kChains * double(steps);
}

}  // namespace qb
