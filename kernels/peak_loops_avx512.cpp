#include <immintrin.h>

#include "kernels/peak_loops.h"

namespace qb {

double f32_peak_avx512(std::int64_t steps) {
  constexpr int kChains = 24;
  __m512 sum[kChains], a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(sum[c]) : "v"(a), "v"(b));
  }
  return 2.0 * 16 * kChains * double(steps);
}

void read_peak_avx512(const void* bytes, std::int64_t size) {
  const auto* line = static_cast<const unsigned char*>(bytes);
  __m512i sum[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sum[i] = _mm512_setzero_si512();
  for (std::int64_t at = 0; at < size; at += 256) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      __asm__ volatile("vpxord %1, %0, %0" : "+v"(sum[i]) : "m"(line[at + 64 * i]) : "memory");
  }
}

}  // namespace qb
