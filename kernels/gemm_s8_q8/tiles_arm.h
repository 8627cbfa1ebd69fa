// What the ARM variants share: a panel of 16 columns (8 at the end) against tiles of rows, and the end of a row.
// Compiled under several instruction-set flags: everything is anonymous.
#pragma once
#include <arm_neon.h>

#include "kernels/columns_neon.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

constexpr std::int64_t kPanel = 16;

/// Where one panel's codes and parameters lie.
struct ArmPanel {
  const std::int8_t* codes;  ///< [padded k / quad][4 * kVectors][quad]
  std::int64_t depth;        ///< k padded to a multiple of 16; rows of a may be read that far
  const float* scale;
  const std::int32_t* zero;
  const std::int32_t* code_sum;
  std::int64_t column, columns;  ///< the first one, and how many exist
};

/// Scales the exact sums of row i and stores them.
template <int kVectors>
QB_INLINE void finish_row(const GemmArgs& args, const ArmPanel& panel, std::int64_t i, const int32x4_t* sum) {
  const int32x4_t a_zero = vdupq_n_s32(args.a_zero[i]), a_sum = vdupq_n_s32(args.a_group_sum[i]);
  const float32x4_t a_scale = vdupq_n_f32(args.a_scale[i]);
  float* y = args.y + i * args.y_stride + panel.column;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    int32x4_t exact = vmlsq_s32(sum[v], a_zero, vld1q_s32(panel.code_sum + 4 * v));
    exact = vmlsq_s32(exact, a_sum, vld1q_s32(panel.zero + 4 * v));
    const float32x4_t scale = vmulq_f32(a_scale, vld1q_f32(panel.scale + 4 * v));
    if (panel.columns > 4 * v) store_columns(y + 4 * v, vmulq_f32(vcvtq_f32_s32(exact), scale), panel.columns - 4 * v);
  }
}

/// Tile::fill<rows, vectors>(args, panel, i) with as many rows as there are, at most kRows.
template <class Tile, int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, const ArmPanel& panel, std::int64_t i) {
  if (args.m - i >= kRows) return Tile::template fill<kRows, kVectors>(args, panel, i);
  if constexpr (kRows > 1) fill_some_rows<Tile, kRows - 1, kVectors>(args, panel, i);
}

/// All columns that args asks for, by tiles of at most Tile::kRows rows.
template <class Tile>
QB_INLINE void fill_panels(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    ArmPanel panel;
    panel.depth = (args.k + 15) / 16 * 16;
    panel.codes = reinterpret_cast<const std::int8_t*>(base + at->codes) + column * panel.depth;
    panel.scale = reinterpret_cast<const float*>(base + at->scale) + column;
    panel.zero = reinterpret_cast<const std::int32_t*>(base + at->zero) + column;
    panel.code_sum = reinterpret_cast<const std::int32_t*>(base + at->code_sum) + column;
    panel.column = column;
    panel.columns = args.n_end - column;
    if (panel.columns > 8)
      for (std::int64_t i = 0; i < args.m; i += Tile::kRows) fill_some_rows<Tile, Tile::kRows, 4>(args, panel, i);
    else
      for (std::int64_t i = 0; i < args.m; i += Tile::kRows) fill_some_rows<Tile, Tile::kRows, 2>(args, panel, i);
  }
}

}  // namespace

}  // namespace qb
