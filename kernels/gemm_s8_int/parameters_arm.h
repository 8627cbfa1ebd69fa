// Scales, offsets and zero points of one group, read from a panel's section. Compiled under several instruction-set
// flags: everything is anonymous.
#pragma once
#include <arm_neon.h>

#include "kernels/gemm_s8_int/gemm_s8_int.h"

namespace qb {

namespace {

/// Those of 4 * kVectors columns.
template <int kVectors>
struct GroupParameters {
  float32x4_t scale[kVectors], offset[kVectors];
  int32x4_t zero[kVectors];  ///< as a signed byte would have it: less the decoder's bias
};

/// Four bytes as integers.
[[maybe_unused]] inline uint32x4_t widen(const std::uint8_t* bytes) {
  std::uint32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)))));
}

[[maybe_unused]] inline float32x4_t read_halves(const std::uint8_t* bytes) {
  uint16x4_t halves;
  __builtin_memcpy(&halves, bytes, 8);
  return vcvt_f32_f16(vreinterpret_f16_u16(halves));
}

/// Four scales or offsets in the form that the panel stores; `supers` are the columns' float16 factors of scale steps.
[[maybe_unused]] inline float32x4_t read_scales(const S8Int& at, const std::uint8_t* bytes, const std::uint8_t* supers,
                                                std::int32_t lowest_step) {
  switch (at.form) {
    case S8IntScale::f32: return vreinterpretq_f32_u8(vld1q_u8(bytes));
    case S8IntScale::f16: return read_halves(bytes);
    case S8IntScale::power: return vreinterpretq_f32_u32(vshlq_n_u32(widen(bytes), 23));
    case S8IntScale::e4m3: {
      // Exponent and fraction in their places in a float32 read as 2^-120 times the value, subnormals too.
      const uint32x4_t code = widen(bytes);
      const uint32x4_t magnitude = vshlq_n_u32(vandq_u32(code, vdupq_n_u32(0x7f)), 20);
      const uint32x4_t sign = vshlq_n_u32(vandq_u32(code, vdupq_n_u32(0x80)), 24);
      const float32x4_t level = vmulq_n_f32(vreinterpretq_f32_u32(vorrq_u32(magnitude, sign)), 0x1p120f);
      return vmulq_n_f32(level, at.e4m3_unit);
    }
    case S8IntScale::steps: {
      const int32x4_t step = vaddq_s32(vreinterpretq_s32_u32(widen(bytes)), vdupq_n_s32(lowest_step));
      return vmulq_f32(vcvtq_f32_s32(step), read_halves(supers));
    }
  }
  __builtin_unreachable();
}

/// Those of the group that is number `g` of the span whose section begins at `section`.
template <int kVectors>
GroupParameters<kVectors> read_parameters(const S8Int& at, const std::uint8_t* section, std::int64_t g,
                                          std::int32_t bias) {
  constexpr std::int64_t kWidth = 4 * kVectors;
  const std::uint8_t* scales =
      section + kWidth * (at.super_bytes + g * (at.scale_bytes + at.offset_bytes + at.zero_bytes));
  const std::uint8_t* offsets = scales + kWidth * at.scale_bytes;
  const std::uint8_t* zeros = offsets + kWidth * at.offset_bytes;
  const std::int32_t middle = at.middle_shift < 32 ? 1 << at.middle_shift : 0;
  GroupParameters<kVectors> read;
  for (int v = 0; v < kVectors; ++v) {
    read.scale[v] = read_scales(at, scales + 4 * v * at.scale_bytes, section + 8 * v, at.lowest_step);
    read.offset[v] = vdupq_n_f32(0.0f);
    if (at.offset_bytes)
      read.offset[v] =
          read_scales(at, offsets + 4 * v * at.offset_bytes, section + 2 * kWidth + 8 * v, at.lowest_offset_step);
    const int32x4_t zero = at.zero_bytes ? vreinterpretq_s32_u32(widen(zeros + 4 * v)) : vdupq_n_s32(middle);
    read.zero[v] = vsubq_s32(zero, vdupq_n_s32(bias));
  }
  return read;
}

}  // namespace

}  // namespace qb
