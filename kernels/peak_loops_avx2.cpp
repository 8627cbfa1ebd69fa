#include <immintrin.h>

#include "kernels/peak_loops.h"

namespace qb {

namespace {

constexpr int kChains = 12;  // latency 4 on two units needs 8; 12 leave registers for the operands

}  // namespace

double f32_peak_avx2(std::int64_t steps) {
  __m256 sum[kChains], a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(0.5f);
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) __asm__ volatile("vfmadd231ps %1, %2, %0" : "+x"(sum[c]) : "x"(a), "x"(b));
  }
  return 2.0 * 8 * kChains * double(steps);
}

double s8_peak_avx2(std::int64_t steps) {
  __m256i sum[kChains], a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(2), ones = _mm256_set1_epi16(1);
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sum[c] = _mm256_setzero_si256();
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
      __m256i pairs;
      __asm__ volatile(
          "vpmaddubsw %2, %3, %1\n\t"
          "vpmaddwd %4, %1, %1\n\t"
          "vpaddd %1, %0, %0"
          : "+x"(sum[c]), "=&x"(pairs)
          : "x"(a), "x"(b), "x"(ones));
    }
  }
  return 2.0 * 32 * kChains * double(steps);
}

void read_peak_avx2(const void* bytes, std::int64_t size) {
  const auto* line = static_cast<const unsigned char*>(bytes);
  __m256i sum[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sum[i] = _mm256_setzero_si256();
  for (std::int64_t at = 0; at < size; at += 128) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) __asm__ volatile("vpxor %1, %0, %0" : "+x"(sum[i]) : "m"(line[at + 32 * i]) : "memory");
  }
}

}  // namespace qb
