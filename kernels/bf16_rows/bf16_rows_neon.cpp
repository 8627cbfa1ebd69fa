#include <arm_neon.h>

#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

namespace {

/// Four values, rounded by integers.
inline uint16x4_t convert_four(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t nan = vorrq_u32(vandq_u32(bits, vdupq_n_u32(0x80000000u)), vdupq_n_u32(0x7fc00000u));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, nan), 16);
}

}  // namespace

void bf16_row_neon(const Bf16RowArgs& args) {
  std::int64_t t = 0;
  for (; t + 8 <= args.k; t += 8)
    vst1q_u16(args.out + t, vcombine_u16(convert_four(vld1q_f32(args.x + t)), convert_four(vld1q_f32(args.x + t + 4))));
  for (; t < args.k; ++t) args.out[t] = vget_lane_u16(convert_four(vdupq_n_f32(args.x[t])), 0);
  for (; t < args.padded; ++t) args.out[t] = 0;
}

}  // namespace qb
