// 4 columns as one NEON register: what window_tiles.h and float_window_steps.h need of an instruction set.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <arm_neon.h>

#include "kernels/columns_neon.h"
#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

struct QuadNeon {
  static constexpr int kLanes = 4;
  using Floats = float32x4_t;
  using Words = uint32x4_t;  ///< 32 bits per lane

  static QB_INLINE Floats zero() { return vdupq_n_f32(0.0f); }
  static QB_INLINE Floats all(float x) { return vdupq_n_f32(x); }
  static QB_INLINE Floats load(const float* x) { return vld1q_f32(x); }
  /// The first `count` lanes; more than there are mean all.
  static QB_INLINE Floats load_first(const float* x, std::int64_t count) { return load_columns(x, count); }
  static QB_INLINE void store_first(float* x, Floats values, std::int64_t count) { store_columns(x, values, count); }
  static QB_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }

  static QB_INLINE Words load_words(const unsigned char* x) { return vreinterpretq_u32_u8(vld1q_u8(x)); }
  static QB_INLINE Words all_words(std::uint32_t x) { return vdupq_n_u32(x); }
  static QB_INLINE Words both(Words a, Words b) { return vandq_u32(a, b); }
  static QB_INLINE Words left(Words a, int count) { return a << count; }
  static QB_INLINE Floats as_floats(Words a) { return vreinterpretq_f32_u32(a); }
};

}  // namespace

}  // namespace qb
