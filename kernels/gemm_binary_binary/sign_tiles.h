// Tiles of gemm_binary_binary, for any way to count: rows of signs against a panel, whose sums over groups wait in
// memory near by. Included under several instruction-set flags: everything is anonymous.
//
// `Counting` is a struct with
// - kColumns of a vector, kVectors of a panel, kRows of a tile;
// - add_group(tile, begin, end, length): adds a group of `length` weights, bytes [begin, end) along k of the rows, to
//   the tile's sums, and leaves the stream behind its scales;
// - store(y, sum, a_scale, columns): one vector of sums times a_scale, of which `columns` exist.
#pragma once
#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

namespace qb {

namespace {

template <int kRows, int kVectors, int kColumns>
struct SignTile {
  const std::uint8_t* a;                             ///< the tile's first row
  std::int64_t a_stride;                             ///< bytes
  const std::uint8_t* stream;                        ///< of the panel: where it is read next
  alignas(64) float sum[kRows][kVectors][kColumns];  ///< of the groups that are done
};

template <class Counting, int kRows, int kVectors>
void fill_tile(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  constexpr int kColumns = Counting::kColumns;
  const auto* at = static_cast<const BinaryBinary*>(args.w);
  const std::int64_t row_bytes = (args.k + 63) / 64 * 8;
  SignTile<kRows, kVectors, kColumns> tile;
  tile.a_stride = 8 * args.a_stride;
  tile.a = static_cast<const std::uint8_t*>(args.a) + i * tile.a_stride;
  tile.stream = static_cast<const std::uint8_t*>(args.w) + at->codes + column * (row_bytes + 4 * at->groups);
  float* y = args.y + i * args.y_stride + column;
  QB_UNROLL for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kVectors * kColumns; c += 16)  // else the stores of one tile wait for memory during the next
      __builtin_prefetch(y + r * args.y_stride + c, 1);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) for (int c = 0; c < kColumns; ++c) tile.sum[r][v][c] = 0.0f;
  }
  for (std::int64_t begin = 0; begin < args.k; begin += at->group) {
    const std::int64_t length = args.k - begin < at->group ? args.k - begin : at->group;
    Counting::add_group(tile, begin / 8, begin / 8 + (length + 63) / 64 * 8, length);
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r, y += args.y_stride) QB_UNROLL for (int v = 0; v < kVectors; ++v)
      Counting::store(y + kColumns * v, tile.sum[r][v], args.a_scale[i + r], args.n_end - column - kColumns * v);
}

/// The tile with as many rows as there are, at most kRows.
template <class Counting, int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  if (args.m - i >= kRows) return fill_tile<Counting, kRows, kVectors>(args, column, i);
  if constexpr (kRows > 1) fill_some_rows<Counting, kRows - 1, kVectors>(args, column, i);
}

/// A panel with as many vectors as there are, at most kVectors.
template <class Counting, int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column) {
  if constexpr (kVectors > 1)
    if (args.n_end - column <= Counting::kColumns * (kVectors - 1))
      return fill_panel<Counting, kVectors - 1>(args, column);
  for (std::int64_t i = 0; i < args.m; i += Counting::kRows)
    fill_some_rows<Counting, Counting::kRows, kVectors>(args, column, i);
}

/// Columns [n_begin, n_end) of the result.
template <class Counting>
void fill_columns(const GemmArgs& args) {
  constexpr std::int64_t kPanel = Counting::kColumns * Counting::kVectors;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel)
    fill_panel<Counting, Counting::kVectors>(args, column);
}

}  // namespace

}  // namespace qb
