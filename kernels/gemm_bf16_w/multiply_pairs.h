// The loops of products with vdpbf16ps and weights of weight_panels.h: few rows decode in registers, more rows
// meet strips of decoded pairs. Both sum in the same order, so that the bits do not depend on the number of rows.
// Included under instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_args.h"
#include "kernels/gemm_bf16_w/pair_decoders.h"
#include "kernels/gemm_f32_f32/tile.h"
#include "kernels/gemm_f32_w/panel_cursor.h"

namespace qb {

namespace {

QB_INLINE __m512i broadcast_pair(const std::uint16_t* a) {
  std::int32_t two;
  __builtin_memcpy(&two, a, 4);
  return _mm512_set1_epi32(two);
}

/// Some rows of y, summed while the stream is read.
template <int kRows, int kVectors>
struct PairSums {
  const std::uint16_t* a;  ///< rows padded with zeros to a multiple of 64
  std::int64_t a_stride;
  const std::uint16_t* next = nullptr;  ///< activations of the half chunk at hand
  __m512i both[kRows];
  __m512 sum[kRows][kVectors];

  QB_INLINE void half(std::int64_t t) { next = a + t; }
  QB_INLINE void pair(int pair) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) both[i] = broadcast_pair(next + i * a_stride + 2 * pair);
  }
  template <class Decoder>
  QB_INLINE void take(const Decoder& decoder, __m512i word, int v, int shift) {
    const __m512i levels = decoder.pair(word, v, shift);
    QB_UNROLL for (int i = 0; i < kRows; ++i) add_pairs(sum[i][v], both[i], levels);
  }
};

/// kRows rows at `a` against one whole panel, decoded in registers; the first row's results are at `y`. It is pointers
/// that it takes, for with more to keep gcc 12 has too few registers for one row.
template <class Decoder, int kRows, int kVectors>
__attribute__((noinline)) void multiply_few_rows(const GemmArgs& args, std::int64_t column, const std::uint16_t* a,
                                                 float* y) {
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  PanelCursor cursor = begin_panel(w, args.k, column, kVectors * 16);
  Decoder decoder(w);
  PairSums<kRows, kVectors> sums;
  sums.a = a;
  sums.a_stride = args.a_stride;
  for (bool first = true; !cursor.done(); first = false) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) sums.sum[i][v] =
        _mm512_setzero_ps();
    begin_segment(cursor, decoder);
    __m512 scale[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) scale[v] = load_scales<Avx512>(w.scale, cursor.parameters, v);
    take_segment<Avx512, kVectors>(cursor, decoder, sums);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) QB_UNROLL for (int i = 0; i < kRows; ++i) {
      float* place = y + i * args.y_stride + 16 * v;
      const __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(place);
      _mm512_storeu_ps(place, _mm512_fmadd_ps(sums.sum[i][v], scale[v], before));
    }
  }
}

/// One tile of y: some rows by some vectors of columns, over one segment.
struct PairTile {
  const std::uint16_t* a;
  std::int64_t a_stride;
  const unsigned char* w;  ///< [pairs][kVectors][16] pairs
  std::int64_t pairs;
  const float* scale;  ///< by column
  float* y;
  std::int64_t y_stride;
  std::int64_t columns;  ///< that exist; fewer than the tile's only in the last vector
  bool first;            ///< y is overwritten, else continued
};

template <int kRows, int kVectors>
void fill_pair_tile(const PairTile& tile) {
  __m512 sum[kRows][kVectors];
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] =
      _mm512_setzero_ps();
  // Rows of y that lie a power of two apart share few sets of a cache: without this each tile ends waiting for them.
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v)
      __builtin_prefetch(tile.y + i * tile.y_stride + 16 * v, 1);
  const unsigned char* w = tile.w;
  for (std::int64_t p = 0; p < tile.pairs; ++p, w += 64 * kVectors) {
    __m512i column[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = _mm512_loadu_si512(w + 64 * v);
    QB_UNROLL for (int i = 0; i < kRows; ++i) {
      const __m512i a = broadcast_pair(tile.a + i * tile.a_stride + 2 * p);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) add_pairs(sum[i][v], a, column[v]);
    }
  }
  QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    float* y = tile.y + i * tile.y_stride + 16 * v;
    const std::int64_t columns = v + 1 < kVectors ? 16 : tile.columns - 16 * v;
    const __m512 before = tile.first ? _mm512_setzero_ps() : Avx512::load_first(y, columns);
    Avx512::store_first(y, _mm512_fmadd_ps(sum[i][v], _mm512_loadu_ps(tile.scale + 16 * v), before), columns);
  }
}

/// The tile with as many rows as there are, at most kRows.
template <int kRows, int kVectors>
void fill_some_pair_rows(const PairTile& tile, std::int64_t rows) {
  if (rows >= kRows) return fill_pair_tile<kRows, kVectors>(tile);
  if constexpr (kRows > 1) fill_some_pair_rows<kRows - 1, kVectors>(tile, rows);
}

constexpr std::int64_t kStripDepth = kSegment;
constexpr std::int64_t kStripSegments = kStripDepth / 16;

/// Decoded pairs of some segments of a panel, in the second-level cache.
template <int kVectors>
struct PairStrip {
  static constexpr std::int64_t kWidth = kVectors * 16;
  std::int64_t depth = 0, segments = 0;
  std::int64_t lengths[kStripSegments];
  const unsigned char* pairs[kStripSegments];  ///< where each segment's begin
  alignas(64) float scales[kStripSegments][kWidth];
  alignas(64) unsigned char decoded[(kStripDepth + kChunk) / 2][4 * kWidth];  ///< a last half chunk is written whole
  unsigned char* out = nullptr;

  QB_INLINE void half(std::int64_t) {}
  QB_INLINE void pair(int) {}
  template <class Decoder>
  QB_INLINE void take(const Decoder& decoder, __m512i word, int v, int shift) {
    _mm512_store_si512(out + 64 * v, decoder.pair(word, v, shift));
    if (v + 1 == kVectors) out += 64 * kVectors;
  }
};

/// Fills the strip with the next segments, as many as fit.
template <class Decoder, int kVectors>
void fill_strip(PanelCursor& cursor, Decoder& decoder, PairStrip<kVectors>& strip) {
  strip.depth = strip.segments = 0;
  while (!cursor.done() && strip.depth + cursor.segment() <= kStripDepth) {
    const std::int64_t length = cursor.segment();
    strip.out = strip.decoded[strip.depth / 2];
    strip.pairs[strip.segments] = strip.out;
    begin_segment(cursor, decoder);
    take_segment<Avx512, kVectors>(cursor, decoder, strip);
    for (int v = 0; v < kVectors; ++v)
      Avx512::store(strip.scales[strip.segments] + 16 * v, load_scales<Avx512>(cursor.w->scale, cursor.parameters, v));
    strip.lengths[strip.segments++] = length;
    strip.depth += length;
  }
}

/// Takes the next segment as it lies: for weights that are pairs already.
template <int kVectors>
void refer_to_strip(PanelCursor& cursor, PairStrip<kVectors>& strip) {
  const std::int64_t length = cursor.segment();
  strip.pairs[0] = cursor.stream + 2 * cursor.width * cursor.t;
  for (int v = 0; v < kVectors; ++v) Avx512::store(strip.scales[0] + 16 * v, _mm512_set1_ps(1.0f));
  strip.lengths[0] = strip.depth = length;
  strip.segments = 1;
  cursor.t += length;
  cursor.group_left = cursor.k - cursor.t;
}

/// Adds the strip's part of the product to all rows of y. A function of its own, so that one is compiled for all
/// decoders.
template <int kVectors>
__attribute__((noinline)) void multiply_strip(const GemmArgs& args, const PairStrip<kVectors>& strip,
                                              std::int64_t column, std::int64_t begin) {
  constexpr int kRows = kVectors == 1 ? 12 : 6;
  const std::int64_t step = even_step(args.m, kRows);
  for (std::int64_t i = 0; i < args.m; i += step) {
    const std::int64_t rows = args.m - i < step ? args.m - i : step;
    std::int64_t t = begin;
    for (std::int64_t s = 0; s < strip.segments; ++s) {
      const PairTile tile{.a = static_cast<const std::uint16_t*>(args.a) + i * args.a_stride + t,
                          .a_stride = args.a_stride,
                          .w = strip.pairs[s],
                          .pairs = (strip.lengths[s] + 1) / 2,
                          .scale = strip.scales[s],
                          .y = args.y + i * args.y_stride + column,
                          .y_stride = args.y_stride,
                          .columns = args.n_end - column,
                          .first = t == 0};
      fill_some_pair_rows<kRows, kVectors>(tile, rows);
      t += strip.lengths[s];
    }
  }
}

template <class Decoder, int kVectors>
void multiply_rows(const GemmArgs& args, std::int64_t column) {
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  PanelCursor cursor = begin_panel(w, args.k, column, kVectors * 16);
  Decoder decoder(w);
  PairStrip<kVectors> strip;
  for (std::int64_t begin = 0; !cursor.done(); begin += strip.depth) {
    if constexpr (Decoder::kBits == 16)
      refer_to_strip(cursor, strip);
    else
      fill_strip(cursor, decoder, strip);
    multiply_strip(args, strip, column, begin);
  }
}

/// Few rows of a whole panel meet pairs in registers, each time as many as there is room for.
template <class Decoder, int kVectors>
void multiply_in_registers(const GemmArgs& args, std::int64_t column) {
  const auto* a = static_cast<const std::uint16_t*>(args.a);
  float* y = args.y + column;
  for (std::int64_t left = args.m, rows; left > 0; left -= rows, a += rows * args.a_stride, y += rows * args.y_stride) {
    rows = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (rows == 4) multiply_few_rows<Decoder, 4, kVectors>(args, column, a, y);
    if (rows == 2) multiply_few_rows<Decoder, 2, kVectors>(args, column, a, y);
    if (rows == 1) multiply_few_rows<Decoder, 1, kVectors>(args, column, a, y);
  }
}

/// The few columns behind the last whole panel do not matter so much.
template <class Decoder, int kVectors>
void multiply_panel(const GemmArgs& args, std::int64_t column) {
  if constexpr (kVectors > 1)
    if (args.m <= (Decoder::kCheap ? 12 : 4)) return multiply_in_registers<Decoder, kVectors>(args, column);
  multiply_rows<Decoder, kVectors>(args, column);
}

template <template <int, int> class Decoder, int kBits>
void multiply_all_panels(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end;) {
    if (args.n - column >= 64) {
      multiply_panel<Decoder<kBits, 4>, 4>(args, column);
      column += 64;
    } else {
      multiply_panel<Decoder<kBits, 1>, 1>(args, column);
      column += 16;
    }
  }
}

/// Calls the loops for the code's bits, kLeast to kMost.
template <template <int, int> class Decoder, int kLeast, int kMost>
void multiply_by_bits(const GemmArgs& args, std::int64_t bits) {
  if (bits == kLeast) return multiply_all_panels<Decoder, kLeast>(args);
  if constexpr (kLeast < kMost) multiply_by_bits<Decoder, kLeast + 1, kMost>(args, bits);
}

}  // namespace

}  // namespace qb
