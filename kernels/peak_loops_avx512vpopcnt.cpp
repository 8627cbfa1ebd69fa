#include <immintrin.h>

#include "kernels/peak_loops.h"

namespace qb {

double binary_peak_avx512vpopcnt(std::int64_t steps) {
  constexpr int kChains = 12;
  __m512i sum[kChains], differing[kChains], a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      __asm__ volatile("vpxorq %1, %2, %0" : "=v"(differing[c]) : "v"(a), "v"(b));
      __asm__ volatile("vpopcntq %0, %0" : "+v"(differing[c]));
      __asm__ volatile("vpaddq %1, %0, %0" : "+v"(sum[c]) : "v"(differing[c]));
    }
  }
  return 2.0 * 512 * kChains * double(steps);
}

}  // namespace qb
