#include <arm_neon.h>

#include "kernels/peak_loops.h"

namespace qb {

namespace {

constexpr int kChains = 24;

}  // namespace

double f32_peak_neon(std::int64_t steps) {
  float32x4_t sum[kChains], a = vdupq_n_f32(1.0f), b = vdupq_n_f32(0.5f);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = vdupq_n_f32(0.0f);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum[c]) : "w"(a), "w"(b));
  }
  return 2.0 * 4 * kChains * double(steps);
}

double s8_peak_neon(std::int64_t steps) {
  int32x4_t sum[kChains];
  const int8x16_t a = vdupq_n_s8(1), b = vdupq_n_s8(2);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = vdupq_n_s32(0);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) {
      int16x8_t products;
      __asm__ volatile(
          "smull %1.8h, %2.8b, %3.8b\n\t"
          "sadalp %0.4s, %1.8h"
          : "+w"(sum[c]), "=&w"(products)
          : "w"(a), "w"(b));
    }
  }
  return 2.0 * 8 * kChains * double(steps);
}

double binary_peak_neon(std::int64_t steps) {
  uint8x16_t sum[kChains];
  const uint8x16_t a = vdupq_n_u8(1), b = vdupq_n_u8(2);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = vdupq_n_u8(0);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) {
      uint8x16_t differing;
      __asm__ volatile(
          "eor %1.16b, %2.16b, %3.16b\n\t"
          "cnt %1.16b, %1.16b\n\t"
          "add %0.16b, %0.16b, %1.16b"
          : "+w"(sum[c]), "=&w"(differing)
          : "w"(a), "w"(b));
    }
  }
  return 2.0 * 128 * kChains * double(steps);
}

void read_peak_neon(const void* bytes, std::int64_t size) {
  const auto* line = static_cast<const unsigned char*>(bytes);
  for (std::int64_t at = 0; at < size; at += 64) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      uint8x16_t low, high;
      __asm__ volatile("ldp %q0, %q1, [%2]" : "=w"(low), "=w"(high) : "r"(line + at + 32 * i) : "memory");
    }
  }
}

}  // namespace qb
