// Up to four columns of a result as one NEON register. Included under several instruction-set flags: everything is
// anonymous and inlined.
#pragma once
#include <arm_neon.h>

#include <cstdint>

namespace qb {

namespace {

/// y[0 .. columns), zeros behind them; more than 4 count as 4, less than 0 as 0.
[[maybe_unused]] __attribute__((always_inline)) inline float32x4_t load_columns(const float* y, std::int64_t columns) {
  if (columns >= 4) return vld1q_f32(y);
  float four[4] = {};
  for (std::int64_t j = 0; j < 3 && j < columns; ++j) four[j] = y[j];
  return vld1q_f32(four);
}

/// Writes y[0 .. columns), as above.
[[maybe_unused]] __attribute__((always_inline)) inline void store_columns(float* y, float32x4_t values,
                                                                          std::int64_t columns) {
  if (columns >= 4) return vst1q_f32(y, values);
  float four[4];
  vst1q_f32(four, values);
  for (std::int64_t j = 0; j < 3 && j < columns; ++j) y[j] = four[j];
}

}  // namespace

}  // namespace qb
