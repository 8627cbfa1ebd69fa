#include "kernels/depthwise_f32_f32/four_lanes.h"
#include "kernels/depthwise_s8_q8/float_channels.h"

namespace qb {

namespace {

struct FourLanesOfCodes : FourLanes {
  static void subtract_zero(const std::int8_t* codes, std::int32_t zero, std::int64_t count, float* real) {
    const int32x4_t shift = vdupq_n_s32(zero);
    for (std::int64_t t = 0; t < count; t += 8) {
      const int16x8_t eight = vmovl_s8(vld1_s8(codes + t));
      vst1q_f32(real + t, vcvtq_f32_s32(vsubq_s32(vmovl_s16(vget_low_s16(eight)), shift)));
      vst1q_f32(real + t + 4, vcvtq_f32_s32(vsubq_s32(vmovl_high_s16(eight), shift)));
    }
  }
};

}  // namespace

void depthwise_s8_q8_neon(const DepthwiseArgs& args) { convolve_channels<FourLanesOfCodes>(args); }

}  // namespace qb
