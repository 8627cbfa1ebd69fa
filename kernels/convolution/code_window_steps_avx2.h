// What window_tiles.h needs of codes and sums in vectors of 8 columns, and the panels of gemm_s8_q8 for them.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <immintrin.h>

#include "kernels/convolution/window_products.h"
#include "kernels/convolution/window_tiles.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

/// Exact sums in int32, scaled as gemm_s8_q8_ref scales them.
struct CodeSums256 {
  using Args = WindowProductsArgs;
  using Sums = __m256i;
  using Weights = __m256i;
  static constexpr int kLanes = 8, kRegisters = 16, kParts = 1;
  static constexpr bool kExact = true;

  template <int kVectors>
  static QB_INLINE void begin(const Args&, const WindowPanel&, bool, std::int64_t, Sums* sum) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = _mm256_setzero_si256();
  }
  template <int kVectors>
  static QB_INLINE void finish(const Args& args, const WindowPanel& panel, std::int64_t at, const Sums* sum) {
    const auto* base = static_cast<const unsigned char*>(args.w);
    const auto* offsets = static_cast<const S8Q8*>(args.w);
    const __m256i a_zero = _mm256_set1_epi32(args.a_zero), a_sum = _mm256_set1_epi32(args.window_sum[at]);
    const __m256 a_scale = _mm256_set1_ps(args.a_scale);
    float* y = args.y + at * args.y_stride + panel.column - args.n_begin;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const std::int64_t parameters = 4 * (panel.column + 8 * v);
      const auto* code_sum = reinterpret_cast<const __m256i*>(base + offsets->code_sum + parameters);
      const auto* zero = reinterpret_cast<const __m256i*>(base + offsets->zero + parameters);
      const __m256i of_a_zero = _mm256_mullo_epi32(a_zero, _mm256_load_si256(code_sum));
      const __m256i of_zero = _mm256_mullo_epi32(a_sum, _mm256_load_si256(zero));
      const __m256i exact = _mm256_sub_epi32(_mm256_sub_epi32(sum[v], of_a_zero), of_zero);
      const __m256 scale =
          _mm256_mul_ps(a_scale, _mm256_load_ps(reinterpret_cast<const float*>(base + offsets->scale + parameters)));
      const auto columns = int(v + 1 < kVectors ? 8 : panel.columns - 8 * v);
      const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(columns), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      _mm256_maskstore_ps(y + 8 * v, mask, _mm256_mul_ps(_mm256_cvtepi32_ps(exact), scale));
    }
  }
};

/// Columns [n_begin, n_end): panels of 16 in tiles of 6 rows, a last one of 8 in tiles of 8 rows.
template <class Step>
QB_INLINE void fill_code_panels(const WindowProductsArgs& args) {
  constexpr std::int64_t kPanel = 16;
  const auto* base = static_cast<const unsigned char*>(args.w);
  const unsigned char* codes = base + static_cast<const S8Q8*>(args.w)->codes;
  const std::int64_t k = args.kernel[0] * args.kernel[1] * args.channels;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::int64_t columns = args.n_end - column, width = columns > 8 ? 16 : 8;
    const WindowPanel panel{codes + column * k, width * Step::kColumnBytes, column, columns};
    if (width == 8)
      fill_window_panel<Step, 8, 1>(args, panel);
    else
      fill_window_panel<Step, 6, 2>(args, panel);
  }
}

}  // namespace

}  // namespace qb
