#include <arm_neon.h>

#include "kernels/peak_loops.h"

namespace qb {

double s8_peak_i8mm(std::int64_t steps) {
  constexpr int kChains = 24;
  int32x4_t sum[kChains];
  const int8x16_t a = vdupq_n_s8(1), b = vdupq_n_s8(2);
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sum[c] = vdupq_n_s32(0);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) __asm__ volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum[c]) : "w"(a), "w"(b));
  }
  return 2.0 * 32 * kChains * double(steps);
}

}  // namespace qb
