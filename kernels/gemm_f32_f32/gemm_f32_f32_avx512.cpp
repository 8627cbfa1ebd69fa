#include <immintrin.h>

#include "kernels/gemm_f32_f32/gemm_f32_f32.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory

constexpr std::int64_t kPanel = 64;
constexpr std::int64_t kDepth =
    512;  // rows of a panel that stay in the second-level cache: 64 * 512 floats are 128 KiB

/// One tile of y: `kRows` rows by `kVectors` vectors of 16 columns, over `depth` steps along k.
struct Tile {
  const float* a;
  std::int64_t a_stride;
  const float* w;  ///< [depth][kVectors][16]
  std::int64_t depth;
  float* y;
  std::int64_t y_stride;
  __mmask16 last;  ///< columns of the last vector that exist
  bool first;      ///< y begins at zero, else it is continued
};

template <int kRows, int kVectors>
void fill_tile(const Tile& tile) {
  __m512 sum[kRows][kVectors];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __mmask16 mask = v + 1 < kVectors ? __mmask16(0xffff) : tile.last;
    sum[i][v] = tile.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, tile.y + i * tile.y_stride + 16 * v);
  }
  const float* w = tile.w;
  for (std::int64_t t = 0; t < tile.depth; ++t, w += 16 * kVectors) {
    __m512 column[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = _mm512_load_ps(w + 16 * v);
    QB_UNROLL for (int i = 0; i < kRows; ++i) {
      const __m512 a = _mm512_set1_ps(tile.a[i * tile.a_stride + t]);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_fmadd_ps(a, column[v], sum[i][v]);
    }
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __mmask16 mask = v + 1 < kVectors ? __mmask16(0xffff) : tile.last;
    _mm512_mask_storeu_ps(tile.y + i * tile.y_stride + 16 * v, mask, sum[i][v]);
  }
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
    tile.w = panel + begin * 16 * kVectors;
    tile.depth = args.k - begin < kDepth ? args.k - begin : kDepth;
    tile.y_stride = args.y_stride;
    const std::int64_t rest = args.n_end - column - 16 * (kVectors - 1);
    tile.last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
    tile.first = begin == 0;
    for (std::int64_t i = 0; i < args.m; i += kRows) {
      tile.a = static_cast<const float*>(args.a) + i * args.a_stride + begin;
      tile.y = args.y + i * args.y_stride + column;
      fill_some_rows<kRows, kVectors>(tile, args.m - i);
    }
  }
}

}  // namespace

void gemm_f32_f32_avx512(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const float* panel = static_cast<const float*>(args.w) + column * args.k;
    switch ((args.n_end - column + 15) / 16) {
      case 1: fill_panel<12, 1>(args, column, panel); break;
      case 2: fill_panel<12, 2>(args, column, panel); break;
      case 3: fill_panel<8, 3>(args, column, panel); break;
      default: fill_panel<6, 4>(args, column, panel); break;
    }
  }
}

}  // namespace qb
