// The vector of float_planes.h for NEON.
#pragma once
#include <arm_neon.h>

#include <cstdint>

namespace qb {

namespace {

struct FourLanes {
  static constexpr std::int64_t kLanes = 4;
  using Type = float32x4_t;
  struct Lanes {
    std::int64_t low, high;
    bool all;
  };

  static __attribute__((always_inline)) inline Lanes lanes(std::int64_t low, std::int64_t high) {
    return {low, high, low <= 0 && high >= 4};
  }
  static __attribute__((always_inline)) inline Type load(const float* from, Lanes lanes) {
    if (lanes.all) return vld1q_f32(from);
    float four[4] = {};
    for (std::int64_t i = lanes.low > 0 ? lanes.low : 0; i < 4 && i < lanes.high; ++i) four[i] = from[i];
    return vld1q_f32(four);
  }
  static __attribute__((always_inline)) inline void store(float* to, Lanes lanes, Type value) {
    if (lanes.all) return vst1q_f32(to, value);
    float four[4];
    vst1q_f32(four, value);
    for (std::int64_t i = lanes.low > 0 ? lanes.low : 0; i < 4 && i < lanes.high; ++i) to[i] = four[i];
  }
  static __attribute__((always_inline)) inline Type set(float value) { return vdupq_n_f32(value); }
  static __attribute__((always_inline)) inline Type fma(Type a, Type b, Type sum) { return vfmaq_f32(sum, a, b); }
  static __attribute__((always_inline)) inline Type multiply(Type a, Type b) { return vmulq_f32(a, b); }
  static __attribute__((always_inline)) inline Type add(Type a, Type b) { return vaddq_f32(a, b); }
  static __attribute__((always_inline)) inline Type even(Type low, Type high) { return vuzp1q_f32(low, high); }
  static __attribute__((always_inline)) inline Type odd(Type low, Type high) { return vuzp2q_f32(low, high); }
  static __attribute__((always_inline)) inline Type shift_in(Type value, float last) {
    return vextq_f32(value, vdupq_n_f32(last), 1);
  }
};

}  // namespace

}  // namespace qb
