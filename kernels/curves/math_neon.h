// What functions of vectors of float32 need beyond sums and products, on 8 lanes of NEON. Included under several
// instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_w/vector_neon.h"

namespace qb {

namespace {

struct NeonMath : Neon {
  static QB_INLINE Floats multiply_subtract(Floats a, Floats b, Floats c) {
    return multiply_add(a, b, {vnegq_f32(c.low), vnegq_f32(c.high)});
  }
  static QB_INLINE Floats divide(Floats a, Floats b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
  static QB_INLINE Floats larger(Floats a, Floats b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
  static QB_INLINE Floats round(Floats a) { return {vrndnq_f32(a.low), vrndnq_f32(a.high)}; }
  static QB_INLINE Floats magnitude(Floats a) { return {vabsq_f32(a.low), vabsq_f32(a.high)}; }
  static QB_INLINE Floats with_sign_of(Floats a, Floats sign) {
    const uint32x4_t bit = vdupq_n_u32(0x80000000u);
    return {vbslq_f32(bit, sign.low, a.low), vbslq_f32(bit, sign.high, a.high)};
  }
  /// Lane by lane: chosen where a > b, otherwise else.
  static QB_INLINE Floats where_above(Floats a, Floats b, Floats chosen, Floats otherwise) {
    return {vbslq_f32(vcgtq_f32(a.low, b.low), chosen.low, otherwise.low),
            vbslq_f32(vcgtq_f32(a.high, b.high), chosen.high, otherwise.high)};
  }
  /// a * 2^k where x >= least, 0 elsewhere; neither a nor the product is subnormal.
  static QB_INLINE Floats times_power_above(Floats a, Floats k, Floats x, Floats least) {
    const auto part = [](float32x4_t a4, float32x4_t k4, uint32x4_t keep) __attribute__((always_inline)) {
      const int32x4_t exponent = vshlq_n_s32(vcvtnq_s32_f32(k4), 23);
      const int32x4_t product = vaddq_s32(vreinterpretq_s32_f32(a4), exponent);
      return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_s32(product), keep));
    };
    return {part(a.low, k.low, vcgeq_f32(x.low, least.low)), part(a.high, k.high, vcgeq_f32(x.high, least.high))};
  }
};

}  // namespace

}  // namespace qb
