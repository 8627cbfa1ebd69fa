#include <arm_neon.h>

#include <cfloat>

#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

namespace {

/// The four values from x[t] on; zeros from x[k] on.
inline float32x4_t load_below(const float* x, std::int64_t t, std::int64_t k) {
  if (t + 4 <= k) return vld1q_f32(x + t);
  float four[4] = {};
  for (std::int64_t i = 0; i < 4 && t + i < k; ++i) four[i] = x[t + i];
  return vld1q_f32(four);
}

/// 16 values from x[t] on, divided by the scale, rounded, and moved by the zero.
inline int8x16_t codes_of(const float* x, std::int64_t t, std::int64_t k, float32x4_t scale, float32x4_t low,
                          float32x4_t high, int32x4_t zero) {
  int16x4_t words[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    float32x4_t value = vdivq_f32(load_below(x, t + 4 * v, k), scale);
    value = vminq_f32(vmaxnmq_f32(value, low), high);  // a NaN becomes low
    words[v] = vmovn_s32(vaddq_s32(vcvtnq_s32_f32(value), zero));
  }
  return vcombine_s8(vmovn_s16(vcombine_s16(words[0], words[1])), vmovn_s16(vcombine_s16(words[2], words[3])));
}

}  // namespace

void quantize_row_neon(const QuantizeRowArgs& args) {
  const float32x4_t scale = vdupq_n_f32(args.scale);
  const float32x4_t low = vdupq_n_f32(float(args.low - args.zero)), high = vdupq_n_f32(float(args.high - args.zero));
  const int32x4_t zero = vdupq_n_s32(args.zero);
  for (std::int64_t t = 0; t < args.padded; t += 16)
    vst1q_s8(args.codes + t, codes_of(args.x, t, args.k, scale, low, high, zero));
}

void quantize_groups_neon(const QuantizeGroupsArgs& args) {
  const float32x4_t low = vdupq_n_f32(float(-args.high)), high = vdupq_n_f32(float(args.high));
  for (std::int64_t begin = 0; begin < args.padded; begin += args.group) {
    const std::int64_t end = begin + args.group < args.padded ? begin + args.group : args.padded;
    const std::int64_t known = end < args.k ? end : args.k;
    float scale = begin < known ? absolute_maximum_neon(args.x + begin, known - begin) / float(args.high) : 0.0f;
    if (!(scale > 0.0f && scale <= FLT_MAX)) scale = 1.0f;
    for (std::int64_t t = begin; t < end; t += 16)
      vst1q_s8(args.codes + t, codes_of(args.x, t, args.k, vdupq_n_f32(scale), low, high, vdupq_n_s32(0)));
    for (std::int64_t t = begin; t < known; t += args.shared) args.scale[t / args.shared] = scale;
  }
}

float absolute_maximum_neon(const float* x, std::int64_t k) {
  float32x4_t maximum[4];
#pragma GCC unroll 4
  for (float32x4_t& lanes : maximum) lanes = vdupq_n_f32(0.0f);
  std::int64_t t = 0;
  for (; t + 16 <= k; t += 16)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) maximum[v] = vmaxnmq_f32(maximum[v], vabsq_f32(vld1q_f32(x + t + 4 * v)));
  for (; t < k; t += 4) maximum[0] = vmaxnmq_f32(maximum[0], vabsq_f32(load_below(x, t, k)));
  return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(maximum[0], maximum[1]), vmaxnmq_f32(maximum[2], maximum[3])));
}

/// Codes 16 at a time, widened pair by pair.
void sum_groups_neon(const SumGroupsArgs& args) {
  std::int32_t* sums = args.sums;
  for (std::int64_t begin = 0; begin < args.k; begin += args.group, ++sums) {
    const std::int64_t end = begin + args.group < args.k ? begin + args.group : args.k;
    int32x4_t sum = vdupq_n_s32(0);
    std::int64_t t = begin;
    for (; t + 16 <= end; t += 16) sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(args.codes + t)));
    std::int32_t all = vaddvq_s32(sum);
    for (; t < end; ++t) all += args.codes[t];
    *sums = all - std::int32_t(end - begin) * args.zero;
  }
}

}  // namespace qb
