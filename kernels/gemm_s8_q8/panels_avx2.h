// Panels of gemm_s8_q8 in vectors of 8 columns, for any tile. Included under several instruction-set flags: everything
// is anonymous.
//
// A Tile has kRows and kQuad (values along k that lie together), and fill<rows, vectors>(args, panel, i): rows i .. of
// the result against the panel, ended by finish_row().
#pragma once
#include <immintrin.h>

#include "kernels/gemm_f32_f32/inlining.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 16;

/// Where one panel's codes and parameters lie.
struct Panel {
  const std::uint8_t* codes;  ///< [k / quad][vectors][8][quad]
  const float* scale;
  const std::int32_t* zero;
  const std::int32_t* code_sum;
  std::int64_t column;
  __m256i last;  ///< columns of the last vector that exist
};

/// Scales the exact sums of row i and stores them.
template <int kVectors>
QB_INLINE void finish_row(const GemmArgs& args, const Panel& panel, std::int64_t i, const __m256i* sum) {
  const __m256i a_zero = _mm256_set1_epi32(args.a_zero[i]);
  const __m256i a_sum = _mm256_set1_epi32(args.a_group_sum[i]);
  const __m256 a_scale = _mm256_set1_ps(args.a_scale[i]);
  float* y = args.y + i * args.y_stride + panel.column;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const auto* code_sum = reinterpret_cast<const __m256i*>(panel.code_sum + 8 * v);
    const auto* zero = reinterpret_cast<const __m256i*>(panel.zero + 8 * v);
    const __m256i of_a_zero = _mm256_mullo_epi32(a_zero, _mm256_load_si256(code_sum));
    const __m256i of_zero = _mm256_mullo_epi32(a_sum, _mm256_load_si256(zero));
    const __m256i exact = _mm256_sub_epi32(_mm256_sub_epi32(sum[v], of_a_zero), of_zero);
    const __m256 scale = _mm256_mul_ps(a_scale, _mm256_load_ps(panel.scale + 8 * v));
    const __m256i mask = v + 1 < kVectors ? _mm256_set1_epi32(-1) : panel.last;
    _mm256_maskstore_ps(y + 8 * v, mask, _mm256_mul_ps(_mm256_cvtepi32_ps(exact), scale));
  }
}

/// The tile with as many rows as there are, at most kRows.
template <class Tile, int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, const Panel& panel, std::int64_t i) {
  if (args.m - i >= kRows) return Tile::template fill<kRows, kVectors>(args, panel, i);
  if constexpr (kRows > 1) fill_some_rows<Tile, kRows - 1, kVectors>(args, panel, i);
}

template <class Tile, int kVectors>
void fill_panel(const GemmArgs& args, Panel panel) {
  const auto rest = int(args.n_end - panel.column - 8 * (kVectors - 1));
  panel.last = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (std::int64_t i = 0; i < args.m; i += Tile::kRows) fill_some_rows<Tile, Tile::kRows, kVectors>(args, panel, i);
}

/// Columns [n_begin, n_end) of the result.
template <class Tile>
QB_INLINE void fill_columns(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  const std::int64_t padded_k = (args.k + Tile::kQuad - 1) / Tile::kQuad * Tile::kQuad;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    Panel panel;
    panel.codes = base + at->codes + column * padded_k;
    panel.scale = reinterpret_cast<const float*>(base + at->scale) + column;
    panel.zero = reinterpret_cast<const std::int32_t*>(base + at->zero) + column;
    panel.code_sum = reinterpret_cast<const std::int32_t*>(base + at->code_sum) + column;
    panel.column = column;
    args.n_end - column <= 8 ? fill_panel<Tile, 1>(args, panel) : fill_panel<Tile, 2>(args, panel);
  }
}

}  // namespace

}  // namespace qb
