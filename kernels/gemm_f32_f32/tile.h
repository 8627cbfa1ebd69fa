// A tile of a product with float32 sums: rows of activations against weights of float32 that lie column by column.
// Written once for all instruction sets: `Vector` is the struct of vector_avx512.h or vector_avx2.h.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

/// Rows of each tile so that m rows make the fewest tiles of at most `most`, of much the same size.
QB_INLINE std::int64_t even_step(std::int64_t m, std::int64_t most) {
  const std::int64_t tiles = (m + most - 1) / most;
  return (m + tiles - 1) / tiles;
}

/// One tile of y: some rows by some vectors of columns, over `depth` steps along k.
struct Tile {
  const float* a;
  std::int64_t a_stride;
  const float* w;  ///< [depth], w_stride floats apart, of which a step reads the tile's columns
  std::int64_t w_stride;
  std::int64_t depth;
  float* y;
  std::int64_t y_stride;
  std::int64_t columns;  ///< that exist; fewer than the tile's only in the last vector
  const float* scale;  ///< by column: sums begin at zero and are multiplied before they join y; null: they go on from y
  bool first;          ///< y is overwritten, else continued
};

template <class Vector, int kRows, int kVectors>
void fill_tile(const Tile& tile) {
  using Floats = typename Vector::Floats;
  constexpr int kLanes = Vector::kLanes;
  const auto columns_of = [&](int v) { return v + 1 < kVectors ? kLanes : tile.columns - v * kLanes; };
  Floats sum[kRows][kVectors];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const bool fresh = tile.first || tile.scale;
    sum[i][v] = fresh ? Vector::zero() : Vector::load_first(tile.y + i * tile.y_stride + v * kLanes, columns_of(v));
  }
  // Rows of y that lie a power of two apart share few sets of a cache: without this each tile ends waiting for them.
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v)
      __builtin_prefetch(tile.y + i * tile.y_stride + v * kLanes, 1);
  const float* w = tile.w;
  for (std::int64_t t = 0; t < tile.depth; ++t, w += tile.w_stride) {
    Floats column[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = Vector::load(w + v * kLanes);
    QB_UNROLL for (int i = 0; i < kRows; ++i) {
      const Floats a = Vector::all(tile.a[i * tile.a_stride + t]);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = Vector::multiply_add(a, column[v], sum[i][v]);
    }
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    float* y = tile.y + i * tile.y_stride + v * kLanes;
    if (tile.scale) {
      const Floats before = tile.first ? Vector::zero() : Vector::load_first(y, columns_of(v));
      sum[i][v] = Vector::multiply_add(sum[i][v], Vector::load(tile.scale + v * kLanes), before);
    }
    Vector::store_first(y, sum[i][v], columns_of(v));
  }
}

/// The tile with as many rows as there are, at most kRows.
template <class Vector, int kRows, int kVectors>
void fill_some_rows(const Tile& tile, std::int64_t rows) {
  if (rows >= kRows) return fill_tile<Vector, kRows, kVectors>(tile);
  if constexpr (kRows > 1) fill_some_rows<Vector, kRows - 1, kVectors>(tile, rows);
}

}  // namespace

}  // namespace qb
