// 8 columns as two NEON registers: what the loops and decoders that are written once need of an instruction set, as
// vector_avx2.h. Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <arm_neon.h>

#include <cstdint>

#include "kernels/columns_neon.h"
#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

struct Neon {
  static constexpr int kLanes = 8;
  static constexpr int kTileVectors = 2;  ///< tiles of 6 rows and this many vectors fit the registers
  struct Floats {
    float32x4_t low, high;
  };
  struct Words {  ///< 32 bits per lane
    uint32x4_t low, high;
  };

  static QB_INLINE Floats zero() { return all(0.0f); }
  static QB_INLINE Floats all(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static QB_INLINE Floats load(const float* x) { return {vld1q_f32(x), vld1q_f32(x + 4)}; }
  static QB_INLINE void store(float* x, Floats values) {
    vst1q_f32(x, values.low);
    vst1q_f32(x + 4, values.high);
  }
  /// The first `count` lanes; more than there are mean all.
  static QB_INLINE Floats load_first(const float* x, std::int64_t count) {
    return {load_columns(x, count), count > 4 ? load_columns(x + 4, count - 4) : vdupq_n_f32(0.0f)};
  }
  static QB_INLINE void store_first(float* x, Floats values, std::int64_t count) {
    store_columns(x, values.low, count);
    if (count > 4) store_columns(x + 4, values.high, count - 4);
  }
  static QB_INLINE Floats add(Floats a, Floats b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
  static QB_INLINE Floats subtract(Floats a, Floats b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
  static QB_INLINE Floats multiply(Floats a, Floats b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
  static QB_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
    return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
  }

  /// Four results, each the sum of one vector's lanes in a fixed order, begin a row or join it.
  static QB_INLINE void add_sums(float* y, bool first, Floats a, Floats b, Floats c, Floats d) {
    const float32x4_t ab = vpaddq_f32(vaddq_f32(a.low, a.high), vaddq_f32(b.low, b.high));
    const float32x4_t cd = vpaddq_f32(vaddq_f32(c.low, c.high), vaddq_f32(d.low, d.high));
    const float32x4_t sums = vpaddq_f32(ab, cd);
    vst1q_f32(y, first ? sums : vaddq_f32(vld1q_f32(y), sums));
  }

  static QB_INLINE Words load_words(const unsigned char* x) {
    return {vreinterpretq_u32_u8(vld1q_u8(x)), vreinterpretq_u32_u8(vld1q_u8(x + 16))};
  }
  static QB_INLINE Words all_words(std::uint32_t x) { return {vdupq_n_u32(x), vdupq_n_u32(x)}; }
  static QB_INLINE Words either(Words a, Words b) { return {vorrq_u32(a.low, b.low), vorrq_u32(a.high, b.high)}; }
  static QB_INLINE Words both(Words a, Words b) { return {vandq_u32(a.low, b.low), vandq_u32(a.high, b.high)}; }
  /// (a and mask) or bits.
  static QB_INLINE Words masked_or(Words a, Words mask, Words bits) { return either(both(a, mask), bits); }
  static QB_INLINE Words right(Words a, int count) { return {a.low >> count, a.high >> count}; }
  static QB_INLINE Words left(Words a, int count) { return {a.low << count, a.high << count}; }
  /// Each 16 bits by themselves.
  static QB_INLINE Words right_halves(Words a, int count) { return left_halves(a, -count); }
  static QB_INLINE Words left_halves(Words a, int count) {
    const int16x8_t by = vdupq_n_s16(std::int16_t(count));
    return {vreinterpretq_u32_u16(vshlq_u16(vreinterpretq_u16_u32(a.low), by)),
            vreinterpretq_u32_u16(vshlq_u16(vreinterpretq_u16_u32(a.high), by))};
  }
  static QB_INLINE Words right_signed(Words a, Words counts) {
    const auto shift = [](uint32x4_t x, uint32x4_t by) __attribute__((always_inline)) {
      return vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(x), vnegq_s32(vreinterpretq_s32_u32(by))));
    };
    return {shift(a.low, counts.low), shift(a.high, counts.high)};
  }
  static QB_INLINE Floats as_floats(Words a) { return {vreinterpretq_f32_u32(a.low), vreinterpretq_f32_u32(a.high)}; }

  static QB_INLINE Floats from_f16(const unsigned char* x) {
    const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(x));
    return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
  }
  /// To nearest, ties to even; finite values.
  static QB_INLINE Floats round_to_bf16(Floats a) {
    const Words bits = {vreinterpretq_u32_f32(a.low), vreinterpretq_u32_f32(a.high)};
    const Words odd = both(right(bits, 16), all_words(1)), half = all_words(0x7fff);
    const Words up = {vaddq_u32(bits.low, vaddq_u32(odd.low, half.low)),
                      vaddq_u32(bits.high, vaddq_u32(odd.high, half.high))};
    return as_floats(both(up, all_words(0xffff0000u)));
  }
  static QB_INLINE Words from_bytes(const unsigned char* x) {
    const uint16x8_t halves = vmovl_u8(vld1_u8(x));
    return {vmovl_u16(vget_low_u16(halves)), vmovl_high_u16(halves)};
  }
  static QB_INLINE Floats to_floats(Words a) { return {vcvtq_f32_u32(a.low), vcvtq_f32_u32(a.high)}; }
  /// 2^(e - 127) for e in [0, 254].
  static QB_INLINE Floats power(Words e) {  // 2^-127 is subnormal: its mantissa's high bit
    const Words lowest = {vceqzq_u32(e.low), vceqzq_u32(e.high)};
    return as_floats(either(left(e, 23), both(lowest, all_words(1u << 22))));
  }

  /// Tables of 16 floats in registers, indexed by the low four bits of each lane.
  using Table16 = uint8x16x4_t;
  static QB_INLINE Table16 load_table(const float* x) {
    Table16 table;
    for (int i = 0; i < 4; ++i) table.val[i] = vreinterpretq_u8_f32(vld1q_f32(x + 4 * i));
    return table;
  }
  static QB_INLINE Floats look_up(const Table16& table, Words index) {
    const auto find = [&](uint32x4_t some) __attribute__((always_inline)) {
      const uint32x4_t first = vmulq_n_u32(vandq_u32(some, vdupq_n_u32(15)), 0x04040404u);
      const uint32x4_t bytes = vaddq_u32(first, vdupq_n_u32(0x03020100u));
      return vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_u32(bytes)));
    };
    return {find(index.low), find(index.high)};
  }
  static QB_INLINE Floats gather(const float* table, Words index) {
    const auto find = [&](uint32x4_t some) __attribute__((always_inline)) {
      float32x4_t found = vld1q_dup_f32(table + vgetq_lane_u32(some, 0));
      found = vld1q_lane_f32(table + vgetq_lane_u32(some, 1), found, 1);
      found = vld1q_lane_f32(table + vgetq_lane_u32(some, 2), found, 2);
      return vld1q_lane_f32(table + vgetq_lane_u32(some, 3), found, 3);
    };
    return {find(index.low), find(index.high)};
  }
  static QB_INLINE Words lane_numbers() {
    constexpr std::uint32_t kNumbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    return {vld1q_u32(kNumbers), vld1q_u32(kNumbers + 4)};
  }
};

}  // namespace

}  // namespace qb
