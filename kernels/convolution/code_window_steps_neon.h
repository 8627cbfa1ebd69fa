// What window_tiles.h needs of codes and sums in NEON registers of 4 columns, and the panels of gemm_s8_q8 for them.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <arm_neon.h>

#include "kernels/columns_neon.h"
#include "kernels/convolution/window_products.h"
#include "kernels/convolution/window_tiles.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

/// Exact sums in int32, scaled as gemm_s8_q8_ref scales them.
struct CodeSumsNeon {
  using Args = WindowProductsArgs;
  using Sums = int32x4_t;
  static constexpr int kLanes = 4, kRegisters = 32, kParts = 1;
  static constexpr bool kExact = true;

  template <int kVectors>
  static QB_INLINE void begin(const Args&, const WindowPanel&, bool, std::int64_t, Sums* sum) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = vdupq_n_s32(0);
  }
  template <int kVectors>
  static QB_INLINE void finish(const Args& args, const WindowPanel& panel, std::int64_t at, const Sums* sum) {
    const auto* base = static_cast<const unsigned char*>(args.w);
    const auto* offsets = static_cast<const S8Q8*>(args.w);
    const auto* code_sum = reinterpret_cast<const std::int32_t*>(base + offsets->code_sum) + panel.column;
    const auto* zero = reinterpret_cast<const std::int32_t*>(base + offsets->zero) + panel.column;
    const auto* scale = reinterpret_cast<const float*>(base + offsets->scale) + panel.column;
    const int32x4_t a_zero = vdupq_n_s32(args.a_zero), a_sum = vdupq_n_s32(args.window_sum[at]);
    float* y = args.y + at * args.y_stride + panel.column - args.n_begin;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      int32x4_t exact = vmlsq_s32(sum[v], a_zero, vld1q_s32(code_sum + 4 * v));
      exact = vmlsq_s32(exact, a_sum, vld1q_s32(zero + 4 * v));
      const float32x4_t steps = vmulq_f32(vdupq_n_f32(args.a_scale), vld1q_f32(scale + 4 * v));
      store_columns(y + 4 * v, vmulq_f32(vcvtq_f32_s32(exact), steps), panel.columns - 4 * v);
    }
  }
};

/// Columns [n_begin, n_end): panels of 16 in tiles of 5 rows, a last one of 8 in tiles of 8 rows. k is padded to a
/// multiple of 16.
template <class Step>
QB_INLINE void fill_code_panels(const WindowProductsArgs& args) {
  constexpr std::int64_t kPanel = 16;
  const auto* base = static_cast<const unsigned char*>(args.w);
  const unsigned char* codes = base + static_cast<const S8Q8*>(args.w)->codes;
  const std::int64_t depth = (args.kernel[0] * args.kernel[1] * args.channels + 15) / 16 * 16;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::int64_t columns = args.n_end - column, width = columns > 8 ? 16 : 8;
    const WindowPanel panel{codes + column * depth, width * Step::kColumnBytes, column, columns};
    if (width == 8)
      fill_window_panel<Step, 8, 2>(args, panel);
    else
      fill_window_panel<Step, 5, 4>(args, panel);
  }
}

}  // namespace

}  // namespace qb
