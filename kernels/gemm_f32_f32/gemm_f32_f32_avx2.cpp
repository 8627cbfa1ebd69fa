#include <immintrin.h>

#include "kernels/gemm_f32_f32/gemm_f32_f32.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory

constexpr std::int64_t kPanel = 16;
constexpr std::int64_t kDepth =
    1024;  // rows of a panel that stay in the second-level cache: 16 * 1024 floats are 64 KiB

/// One tile of y: `kRows` rows by `kVectors` vectors of 8 columns, over `depth` steps along k.
struct Tile {
  const float* a;
  std::int64_t a_stride;
  const float* w;  ///< [depth][kVectors][8]
  std::int64_t depth;
  float* y;
  std::int64_t y_stride;
  __m256i last;  ///< columns of the last vector that exist
  bool first;    ///< y begins at zero, else it is continued
};

template <int kRows, int kVectors>
void fill_tile(const Tile& tile) {
  __m256 sum[kRows][kVectors];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m256i mask = v + 1 < kVectors ? _mm256_set1_epi32(-1) : tile.last;
    sum[i][v] = tile.first ? _mm256_setzero_ps() : _mm256_maskload_ps(tile.y + i * tile.y_stride + 8 * v, mask);
  }
  const float* w = tile.w;
  for (std::int64_t t = 0; t < tile.depth; ++t, w += 8 * kVectors) {
    __m256 column[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = _mm256_load_ps(w + 8 * v);
    QB_UNROLL for (int i = 0; i < kRows; ++i) {
      const __m256 a = _mm256_broadcast_ss(tile.a + i * tile.a_stride + t);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm256_fmadd_ps(a, column[v], sum[i][v]);
    }
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m256i mask = v + 1 < kVectors ? _mm256_set1_epi32(-1) : tile.last;
    _mm256_maskstore_ps(tile.y + i * tile.y_stride + 8 * v, mask, sum[i][v]);
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
    tile.w = panel + begin * 8 * kVectors;
    tile.depth = args.k - begin < kDepth ? args.k - begin : kDepth;
    tile.y_stride = args.y_stride;
    const auto rest = int(args.n_end - column - 8 * (kVectors - 1));
    tile.last = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    tile.first = begin == 0;
    for (std::int64_t i = 0; i < args.m; i += kRows) {
      tile.a = static_cast<const float*>(args.a) + i * args.a_stride + begin;
      tile.y = args.y + i * args.y_stride + column;
      fill_some_rows<kRows, kVectors>(tile, args.m - i);
    }
  }
}

}  // namespace

void gemm_f32_f32_avx2(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const float* panel = static_cast<const float*>(args.w) + column * args.k;
    if (args.n_end - column <= 8)
      fill_panel<6, 1>(args, column, panel);
    else
      fill_panel<6, 2>(args, column, panel);
  }
}

}  // namespace qb
