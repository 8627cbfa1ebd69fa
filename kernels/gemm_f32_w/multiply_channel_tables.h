// Products whose weights have a table of levels for each column: rows of activations against vectors of weights that
// follow each other along k, so that a column's table can stand in registers. Written once for all instruction sets
// and for sums of floats and of pairs of bf16; `Steps` is a struct like FloatSteps below.
// Included under several instruction-set flags: everything is anonymous and inlined.
//
// Order of sums: each result has as many sums as a step has weights (pairs), weight t going to sum t modulo their
// number; after a segment of kSegmentSteps steps they are added in a fixed tree, and the result joins y.
#pragma once
#include "kernels/gemm_args.h"
#include "kernels/gemm_f32_f32/tile.h"
#include "kernels/gemm_f32_w/decoders.h"

namespace qb {

namespace {

/// A column's table where the instruction set has no better way for codes of these bits: read from memory.
template <class Vector, int kBits>
struct ChannelTable {
  static constexpr int kRows = 0;  ///< that four tables leave room for in registers
  const float* levels;

  QB_INLINE explicit ChannelTable(const unsigned char* table) : levels(reinterpret_cast<const float*>(table)) {}
  /// The code is the low bits of each word.
  QB_INLINE typename Vector::Floats look_up(typename Vector::Words words) const {
    return Vector::gather(levels, Vector::both(words, Vector::all_words((1u << kBits) - 1u)));
  }
};

/// Up to 16 levels stand in registers.
template <class Vector, int kBits>
requires(kBits <= 4) struct ChannelTable<Vector, kBits> {
  static constexpr int kRows = Vector::kTileVectors == 4 ? 4 : 2;
  typename Vector::Table16 levels;

  QB_INLINE explicit ChannelTable(const unsigned char* table)
      : levels(Vector::load_table(reinterpret_cast<const float*>(table))) {}
  QB_INLINE typename Vector::Floats look_up(typename Vector::Words words) const {
    return Vector::look_up(levels, words);
  }
};

/// Steps of as many float32 as a vector has.
template <class VectorType, int kCodeBits>
struct FloatSteps {
  using Vector = VectorType;
  using Element = float;  ///< of activations and levels
  using Values = typename Vector::Floats;
  using Sums = typename Vector::Floats;
  using Table = ChannelTable<Vector, kCodeBits>;
  static constexpr int kBits = kCodeBits;
  static constexpr int kElementBits = 32;          ///< of a code's place: an element of the vector of codes
  static constexpr int kWeights = Vector::kLanes;  ///< of a step

  static QB_INLINE Values levels(const Table& table, typename Vector::Words words, int step) {
    return table.look_up(Vector::right(words, step * kBits));
  }
  static QB_INLINE Values load(const float* a) { return Vector::load(a); }
  static QB_INLINE void store(float* to, Values values) { Vector::store(to, values); }
  static QB_INLINE Sums zero() { return Vector::zero(); }
  static QB_INLINE void add_products(Sums& sums, Values a, Values w) { sums = Vector::multiply_add(a, w, sums); }
};

/// What follows from the steps: as weight_panels.h says.
template <class Steps>
struct TablePanels {
  static constexpr std::int64_t kLine = 4 * Steps::Vector::kLanes;  ///< bytes of a vector
  static constexpr int kStepsPerChunk = Steps::kElementBits / Steps::kBits;
  static constexpr std::int64_t kChunkWeights = std::int64_t(kStepsPerChunk) * Steps::kWeights;
  static constexpr std::int64_t kSegmentChunks = kTableSegmentSteps / kStepsPerChunk;
  static constexpr std::int64_t kSegmentWeights = kSegmentChunks * kChunkWeights;
  static constexpr std::int64_t kLevelBytes = (std::int64_t(1) << Steps::kBits) * (Steps::kElementBits / 8);
  static constexpr std::int64_t kTableBytes = kLevelBytes < kLeastTable ? kLeastTable : kLevelBytes;
  static_assert(kSegmentChunks > 0);
};

/// Where the tables and the codes of four columns stand.
QB_INLINE const unsigned char* tables_of(const WeightPanels& w, std::int64_t column) {
  return reinterpret_cast<const unsigned char*>(&w) + w.stream + column * w.column_bytes;
}
template <class Steps>
QB_INLINE const unsigned char* codes_of(const WeightPanels& w, std::int64_t column, std::int64_t chunk) {
  using Panels = TablePanels<Steps>;
  return tables_of(w, column) + kTableColumns * (Panels::kTableBytes + chunk * Panels::kLine);
}

/// Four results of one row join y, of which `columns` exist.
template <class Steps>
QB_INLINE void add_to_row(float* y, bool first, std::int64_t columns, const typename Steps::Sums* sums) {
  if (columns >= kTableColumns) return Steps::Vector::add_sums(y, first, sums[0], sums[1], sums[2], sums[3]);
  float four[kTableColumns];
  Steps::Vector::add_sums(four, true, sums[0], sums[1], sums[2], sums[3]);
  for (std::int64_t c = 0; c < columns; ++c) y[c] = first ? four[c] : y[c] + four[c];
}

/// Rows [0, rows) of activations [begin, begin + length), with zeros from k on.
template <class Element>
__attribute__((noinline)) void copy_padded(const Element* a, std::int64_t a_stride, std::int64_t rows,
                                           std::int64_t begin, std::int64_t length, std::int64_t k, Element* to) {
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t t = 0; t < length; ++t)
      to[i * length + t] = begin + t < k ? a[i * a_stride + begin + t] : Element(0);
}

/// Adds one chunk of four columns to the sums of kRows rows.
template <class Steps, int kRows>
QB_INLINE void take_chunk(const unsigned char* codes, const typename Steps::Table* tables,
                          const typename Steps::Element* a, std::int64_t a_stride,
                          typename Steps::Sums (&sums)[kRows][kTableColumns]) {
  using Panels = TablePanels<Steps>;
  typename Steps::Vector::Words words[kTableColumns];
  QB_UNROLL for (int c = 0; c < kTableColumns; ++c) {
    words[c] = Steps::Vector::load_words(codes + c * Panels::kLine);
    if constexpr (kRows <= 2 && requires { Steps::Vector::keep(words[c]); }) Steps::Vector::keep(words[c]);
  }
  QB_UNROLL for (int s = 0; s < Panels::kStepsPerChunk; ++s) {
    typename Steps::Values row[kRows];
    QB_UNROLL for (int i = 0; i < kRows; ++i) row[i] = Steps::load(a + i * a_stride + s * Steps::kWeights);
    QB_UNROLL for (int c = 0; c < kTableColumns; ++c) {
      const auto levels = Steps::levels(tables[c], words[c], s);
      QB_UNROLL for (int i = 0; i < kRows; ++i) Steps::add_products(sums[i][c], row[i], levels);
    }
  }
}

/// kRows rows from `row` on against four columns, whose codes become levels in registers.
template <class Steps, int kRows>
void multiply_four_columns(const GemmArgs& args, std::int64_t row, std::int64_t column) {
  using Panels = TablePanels<Steps>;
  using Element = typename Steps::Element;
  using Table = typename Steps::Table;
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  const unsigned char* table = tables_of(w, column);
  const Table tables[kTableColumns] = {Table(table), Table(table + Panels::kTableBytes),
                                       Table(table + 2 * Panels::kTableBytes), Table(table + 3 * Panels::kTableBytes)};
  const unsigned char* codes = codes_of<Steps>(w, column, 0);
  const Element* a = static_cast<const Element*>(args.a) + row * args.a_stride;
  const std::int64_t whole_chunks = args.k / Panels::kChunkWeights;
  Element padded[kRows * Panels::kChunkWeights];
  for (std::int64_t chunk = 0; chunk < w.chunks;) {
    const bool first = chunk == 0;
    const std::int64_t left = w.chunks - chunk;
    const std::int64_t end = chunk + (left < Panels::kSegmentChunks ? left : Panels::kSegmentChunks);
    typename Steps::Sums sums[kRows][kTableColumns];
    QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int c = 0; c < kTableColumns; ++c) sums[i][c] =
        Steps::zero();
    for (; chunk < end; ++chunk, codes += kTableColumns * Panels::kLine) {
      const Element* next = a + chunk * Panels::kChunkWeights;
      std::int64_t stride = args.a_stride;
      if (chunk >= whole_chunks) {
        copy_padded(a, stride, kRows, chunk * Panels::kChunkWeights, Panels::kChunkWeights, args.k, padded);
        next = padded;
        stride = Panels::kChunkWeights;
      }
      take_chunk<Steps, kRows>(codes, tables, next, stride, sums);
    }
    QB_UNROLL for (int i = 0; i < kRows; ++i)
        add_to_row<Steps>(args.y + (row + i) * args.y_stride + column, first, args.n_end - column, sums[i]);
  }
}

/// All rows against four columns, a few at a time and much the same number each time.
template <class Steps, int kRows>
void multiply_some_rows(const GemmArgs& args, std::int64_t row, std::int64_t rows, std::int64_t column) {
  if (rows >= kRows) return multiply_four_columns<Steps, kRows>(args, row, column);
  if constexpr (kRows > 1) multiply_some_rows<Steps, kRows - 1>(args, row, rows, column);
}

constexpr std::int64_t kTableStripColumns = 32;

/// Levels of one segment of some columns, in the second-level cache.
template <class Steps>
struct TableStrip {
  alignas(64) typename Steps::Element levels[kTableStripColumns][TablePanels<Steps>::kSegmentWeights];
};

/// Levels of the chunks [chunk, chunk + chunks) of one column.
template <class Steps>
void decode_column(const WeightPanels& w, std::int64_t column, std::int64_t chunk, std::int64_t chunks,
                   typename Steps::Element* levels) {
  using Panels = TablePanels<Steps>;
  const std::int64_t block = column / kTableColumns * kTableColumns, in_block = column % kTableColumns;
  const typename Steps::Table table(tables_of(w, block) + in_block * Panels::kTableBytes);
  const unsigned char* codes = codes_of<Steps>(w, block, chunk) + in_block * Panels::kLine;
  for (std::int64_t i = 0; i < chunks; ++i, codes += kTableColumns * Panels::kLine) {
    const auto words = Steps::Vector::load_words(codes);
    QB_UNROLL for (int s = 0; s < Panels::kStepsPerChunk; ++s)
        Steps::store(levels + s * Steps::kWeights, Steps::levels(table, words, s));
    levels += Panels::kChunkWeights;
  }
}

/// kRows rows of activations against four columns of a strip.
template <class Steps, int kRows>
void multiply_levels(const typename Steps::Element* a, std::int64_t a_stride, const typename Steps::Element* w,
                     std::int64_t steps, float* y, std::int64_t y_stride, std::int64_t columns, bool first) {
  constexpr std::int64_t kStride = TablePanels<Steps>::kSegmentWeights;
  typename Steps::Sums sums[kRows][kTableColumns];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int c = 0; c < kTableColumns; ++c) sums[i][c] =
      Steps::zero();
  for (std::int64_t s = 0; s < steps; ++s, a += Steps::kWeights, w += Steps::kWeights) {
    typename Steps::Values row[kRows];
    QB_UNROLL for (int i = 0; i < kRows; ++i) row[i] = Steps::load(a + i * a_stride);
    QB_UNROLL for (int c = 0; c < kTableColumns; ++c) {
      const auto levels = Steps::load(w + c * kStride);
      QB_UNROLL for (int i = 0; i < kRows; ++i) Steps::add_products(sums[i][c], row[i], levels);
    }
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) add_to_row<Steps>(y + i * y_stride, first, columns, sums[i]);
}

/// As multiply_levels, with as many rows as there are, at most kRows.
template <class Steps, int kRows, class... More>
void multiply_levels_of_some(std::int64_t rows, const More&... more) {
  if (rows >= kRows) return multiply_levels<Steps, kRows>(more...);
  if constexpr (kRows > 1) multiply_levels_of_some<Steps, kRows - 1>(rows, more...);
}

/// All rows against one segment of the columns of a strip, `columns` from `column` on.
template <class Steps>
void multiply_table_strip(const GemmArgs& args, const TableStrip<Steps>& strip, std::int64_t column,
                          std::int64_t columns, std::int64_t begin) {
  using Element = typename Steps::Element;
  constexpr std::int64_t kSegment = TablePanels<Steps>::kSegmentWeights;
  constexpr int kRows = Steps::Vector::kTileVectors == 4 ? 6 : 3;
  const std::int64_t left = args.k - begin, length = left < kSegment ? left : kSegment;
  const std::int64_t steps = (length + Steps::kWeights - 1) / Steps::kWeights;
  const std::int64_t step = even_step(args.m, kRows);
  Element padded[kRows * kSegment];
  for (std::int64_t i = 0; i < args.m; i += step) {
    const std::int64_t rows = args.m - i < step ? args.m - i : step;
    const Element* a = static_cast<const Element*>(args.a) + i * args.a_stride + begin;
    std::int64_t a_stride = args.a_stride;
    if (length % Steps::kWeights != 0) {
      copy_padded(a, a_stride, rows, 0, kSegment, length, padded);
      a = padded;
      a_stride = kSegment;
    }
    for (std::int64_t c = 0; c < columns; c += kTableColumns)
      multiply_levels_of_some<Steps, kRows>(rows, a, a_stride, strip.levels[c], steps,
                                            args.y + i * args.y_stride + column + c, args.y_stride, columns - c,
                                            begin == 0);
  }
}

template <class Steps>
void multiply_by_strips(const GemmArgs& args) {
  using Panels = TablePanels<Steps>;
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  TableStrip<Steps> strip;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kTableStripColumns) {
    const std::int64_t left = args.n_end - column, columns = left < kTableStripColumns ? left : kTableStripColumns;
    for (std::int64_t chunk = 0; chunk < w.chunks; chunk += Panels::kSegmentChunks) {
      const std::int64_t rest = w.chunks - chunk,
                         chunks = rest < Panels::kSegmentChunks ? rest : Panels::kSegmentChunks;
      for (std::int64_t c = 0; c < columns; ++c) decode_column<Steps>(w, column + c, chunk, chunks, strip.levels[c]);
      multiply_table_strip(args, strip, column, columns, chunk * Panels::kChunkWeights);
    }
  }
}

/// Few rows meet levels in registers, where the tables leave room; more rows meet strips of them.
template <class Steps>
void multiply_channel_tables(const GemmArgs& args) {
  constexpr int kRows = Steps::Table::kRows;
  if constexpr (kRows > 0) {
    constexpr int kTimes = Steps::Vector::kTileVectors == 4 ? 2 : 1;  // that tables are looked up in rather than stored
    if (args.m <= kTimes * kRows) {
      const std::int64_t step = even_step(args.m, kRows);
      for (std::int64_t column = args.n_begin; column < args.n_end; column += kTableColumns)
        for (std::int64_t row = 0; row < args.m; row += step)
          multiply_some_rows<Steps, kRows>(args, row, args.m - row < step ? args.m - row : step, column);
      return;
    }
  }
  multiply_by_strips<Steps>(args);
}

/// Calls the loops for the code's bits, kLeast to kMost.
template <class Vector, template <class, int> class Steps, int kLeast = 1, int kMost = 8>
void multiply_channel_tables(const GemmArgs& args, std::int64_t bits) {
  if (bits == kLeast) return multiply_channel_tables<Steps<Vector, kLeast>>(args);
  if constexpr (kLeast < kMost) multiply_channel_tables<Vector, Steps, kLeast + 1, kMost>(args, bits);
}

}  // namespace

}  // namespace qb
