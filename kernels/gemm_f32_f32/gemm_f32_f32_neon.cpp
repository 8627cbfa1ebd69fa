#include <arm_neon.h>

#include "kernels/columns_neon.h"
#include "kernels/gemm_f32_f32/gemm_f32_f32.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

constexpr std::int64_t kPanel = 16;
constexpr std::int64_t kDepth = 1024;  // steps along k whose part of a panel stays in the second-level cache: 64 KiB

/// One tile of y: `kRows` rows by `kVectors` vectors of 4 columns, over `depth` steps along k.
struct Tile {
  const float* a;
  std::int64_t a_stride;
  const float* w;  ///< [depth][kVectors][4]
  std::int64_t depth;
  float* y;
  std::int64_t y_stride;
  std::int64_t last;  ///< columns of the last vector that exist, 1..4
  bool first;         ///< y begins at zero, else it is continued
};

/// sum[i][v] += a[i][t + kStep] * w[v] for the step's vectors of w.
template <int kStep, int kRows, int kVectors>
QB_INLINE void multiply_step(float32x4_t (&sum)[kRows][kVectors], const float32x4_t (&a)[kRows], const float* w) {
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const float32x4_t column = vld1q_f32(w + 4 * (kStep * kVectors + v));
    QB_UNROLL for (int i = 0; i < kRows; ++i) sum[i][v] = vfmaq_laneq_f32(sum[i][v], column, a[i], kStep);
  }
}

template <int kRows, int kVectors>
[[gnu::noinline]] void fill_tile(const Tile& tile) {
  float32x4_t sum[kRows][kVectors];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const std::int64_t columns = v + 1 < kVectors ? 4 : tile.last;
    sum[i][v] = tile.first ? vdupq_n_f32(0.0f) : load_columns(tile.y + i * tile.y_stride + 4 * v, columns);
  }
  const float* w = tile.w;
  std::int64_t t = 0;
  float32x4_t a[kRows];
  for (; t + 4 <= tile.depth; t += 4, w += 16 * kVectors) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) a[i] = vld1q_f32(tile.a + i * tile.a_stride + t);
    multiply_step<0>(sum, a, w);
    multiply_step<1>(sum, a, w);
    multiply_step<2>(sum, a, w);
    multiply_step<3>(sum, a, w);
  }
  for (; t < tile.depth; ++t, w += 4 * kVectors) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) a[i] = vdupq_n_f32(tile.a[i * tile.a_stride + t]);
    multiply_step<0>(sum, a, w);
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v)
      store_columns(tile.y + i * tile.y_stride + 4 * v, sum[i][v], v + 1 < kVectors ? 4 : tile.last);
}

/// The tile with as many rows as there are, at most kRows.
template <int kRows, int kVectors>
void fill_some_rows(const Tile& tile, std::int64_t rows) {
  if (rows >= kRows) return fill_tile<kRows, kVectors>(tile);
  if constexpr (kRows > 1) fill_some_rows<kRows - 1, kVectors>(tile, rows);
}

template <int kRows, int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column, const float* panel) {
  for (std::int64_t begin = 0; begin < args.k; begin += kDepth) {
    Tile tile;
    tile.a_stride = args.a_stride;
    tile.w = panel + begin * 4 * kVectors;
    tile.depth = args.k - begin < kDepth ? args.k - begin : kDepth;
    tile.y_stride = args.y_stride;
    tile.last = args.n_end - column - 4 * (kVectors - 1);
    tile.first = begin == 0;
    for (std::int64_t i = 0; i < args.m; i += kRows) {
      tile.a = static_cast<const float*>(args.a) + i * args.a_stride + begin;
      tile.y = args.y + i * args.y_stride + column;
      fill_some_rows<kRows, kVectors>(tile, args.m - i);
    }
  }
}

}  // namespace

void gemm_f32_f32_neon(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const float* panel = static_cast<const float*>(args.w) + column * args.k;
    switch ((args.n_end - column + 3) / 4) {
      case 1: fill_panel<8, 1>(args, column, panel); break;
      case 2: fill_panel<8, 2>(args, column, panel); break;
      case 3: fill_panel<6, 3>(args, column, panel); break;
      default: fill_panel<4, 4>(args, column, panel); break;
    }
  }
}

}  // namespace qb
