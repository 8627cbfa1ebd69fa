#include <arm_neon.h>

#include "kernels/sign_rows/sign_rows.h"

namespace qb {

namespace {

/// Bit i of the result is set where sixteen[i] >= 0.
inline std::uint64_t signs_of(const float* sixteen) {
  uint16x4_t positive[4];
  for (int v = 0; v < 4; ++v) positive[v] = vmovn_u32(vcgezq_f32(vld1q_f32(sixteen + 4 * v)));
  const std::uint8_t weights[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x8_t weight = vld1_u8(weights);
  const std::uint64_t low = vaddv_u8(vand_u8(vmovn_u16(vcombine_u16(positive[0], positive[1])), weight));
  const std::uint64_t high = vaddv_u8(vand_u8(vmovn_u16(vcombine_u16(positive[2], positive[3])), weight));
  return low | high << 8;
}

}  // namespace

float sign_row_neon(const float* x, std::int64_t k, std::uint64_t* bits) {
  float64x2_t sums[8];  // over t mod 16, two each
  for (float64x2_t& sum : sums) sum = vdupq_n_f64(0.0);
  for (std::int64_t t = 0; t < k; t += 16) {
    const float* sixteen = x + t;
    float last[16] = {};
    std::uint64_t mask = 0xffff;
    if (k - t < 16) {
      for (std::int64_t i = 0; i < k - t; ++i) last[i] = sixteen[i];
      sixteen = last;
      mask >>= 16 - (k - t);
    }
    if (t % 64 == 0) bits[t / 64] = 0;
    bits[t / 64] |= (signs_of(sixteen) & mask) << (t % 64);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const float32x4_t magnitude = vabsq_f32(vld1q_f32(sixteen + 4 * v));
      sums[2 * v] = vaddq_f64(sums[2 * v], vcvt_f64_f32(vget_low_f32(magnitude)));
      sums[2 * v + 1] = vaddq_f64(sums[2 * v + 1], vcvt_high_f64_f32(magnitude));
    }
  }
  double sum = 0;
  for (const float64x2_t& part : sums) sum = sum + vgetq_lane_f64(part, 0) + vgetq_lane_f64(part, 1);
  return float(sum / double(k));
}

}  // namespace qb
