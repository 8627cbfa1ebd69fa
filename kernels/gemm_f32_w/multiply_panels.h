// The loops of products with weights of weight_panels.h and float32 sums: few rows decode in registers, more rows
// meet strips of decoded levels. Both sum in the same order, so that the bits do not depend on the number of rows.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_args.h"
#include "kernels/gemm_f32_f32/tile.h"
#include "kernels/gemm_f32_w/multiply_channel_tables.h"
#include "kernels/gemm_f32_w/panel_cursor.h"

namespace qb {

namespace {

/// Some rows of y, summed while the stream is read.
template <class Vector, int kRows, int kVectors>
struct FloatSums {
  using Floats = typename Vector::Floats;
  using Words = typename Vector::Words;
  const float* a;
  std::int64_t a_stride, k;
  const float* next = nullptr;  ///< activations of the half chunk at hand, rows next_stride apart
  std::int64_t next_stride = 0;
  float* padded;  ///< [kRows, 16], to fill where rows end; not here, for then nothing were in registers
  Floats even[kRows], odd[kRows];
  Floats sum[kRows][kVectors];

  QB_INLINE void half(std::int64_t t) {
    constexpr std::int64_t kHalf = kChunk / 2;
    next = a + t;
    next_stride = a_stride;
    if (t + kHalf <= k) return;
    copy_padded(a, a_stride, kRows, t, kHalf, k, padded);
    next = padded;
    next_stride = kHalf;
  }
  QB_INLINE void pair(int pair) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) {
      const float* row = next + i * next_stride;
      even[i] = Vector::all(row[2 * pair]);
      odd[i] = Vector::all(row[2 * pair + 1]);
    }
  }
  template <class Decoder>
  QB_INLINE void take(const Decoder& decoder, Words word, int v, int shift) {
    const Floats low = decoder.low(word, v, shift);
    QB_UNROLL for (int i = 0; i < kRows; ++i) sum[i][v] = Vector::multiply_add(even[i], low, sum[i][v]);
    const Floats high = decoder.high(word, v, shift);
    QB_UNROLL for (int i = 0; i < kRows; ++i) sum[i][v] = Vector::multiply_add(odd[i], high, sum[i][v]);
  }
};

/// kRows rows at `a` against one whole panel, decoded in registers; the first row's results are at `y`. It is pointers
/// that it takes, for with more to keep gcc 12 has too few registers for one row.
template <class Vector, class Decoder, int kRows, int kVectors>
__attribute__((noinline)) void multiply_few_rows(const GemmArgs& args, std::int64_t column, const float* a, float* y) {
  using Floats = typename Vector::Floats;
  constexpr int kLanes = Vector::kLanes;
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  PanelCursor cursor = begin_panel(w, args.k, column, kVectors * kLanes);
  Decoder decoder(w);
  FloatSums<Vector, kRows, kVectors> sums;
  sums.a = a;
  sums.a_stride = args.a_stride;
  sums.k = args.k;
  float padded[kRows * kChunk / 2];
  sums.padded = padded;
  for (bool first = true; !cursor.done(); first = false) {
    QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) sums.sum[i][v] =
        Vector::zero();
    begin_segment(cursor, decoder);
    Floats scale[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) scale[v] = load_scales<Vector>(w.scale, cursor.parameters, v);
    take_segment<Vector, kVectors>(cursor, decoder, sums);
    QB_UNROLL for (int i = 0; i < kRows; ++i) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      float* place = y + i * args.y_stride + v * kLanes;
      const Floats before = first ? Vector::zero() : Vector::load(place);
      Vector::store(place, Vector::multiply_add(sums.sum[i][v], scale[v], before));
    }
  }
}

constexpr std::int64_t kStripDepth = kSegment;
constexpr std::int64_t kStripSegments = kStripDepth / 16;

/// Decoded levels of some segments of a panel, in the second-level cache.
template <class Vector, int kVectors>
struct Strip {
  static constexpr std::int64_t kWidth = kVectors * Vector::kLanes;
  std::int64_t depth = 0, segments = 0;
  std::int64_t lengths[kStripSegments];
  alignas(64) float scales[kStripSegments][kWidth];
  alignas(64) float levels[kStripDepth + kChunk][kWidth];  ///< the last half chunk is written whole

  float* out = nullptr;

  QB_INLINE void half(std::int64_t) {}
  QB_INLINE void pair(int) {}
  template <class Decoder>
  QB_INLINE void take(const Decoder& decoder, typename Vector::Words word, int v, int shift) {
    float* place = out + v * Vector::kLanes;
    Vector::store(place, decoder.low(word, v, shift));
    Vector::store(place + kWidth, decoder.high(word, v, shift));
    if (v + 1 == kVectors) out += 2 * kWidth;
  }
};

/// level * scale + offset, each rounded, and once more to bf16 where the matrix says so; then the scale is 1.
template <class Vector, int kVectors>
void add_offsets(const PanelCursor& cursor, Strip<Vector, kVectors>& strip, std::int64_t length) {
  const WeightPanels& w = *cursor.w;
  const unsigned char* offsets = cursor.parameters + bytes_of_scale(w.scale) * cursor.width;
  for (int v = 0; v < kVectors; ++v) {
    float* scales = strip.scales[strip.segments] + v * Vector::kLanes;
    const auto scale = Vector::load(scales), offset = load_scales<Vector>(w.scale, offsets, v);
    for (std::int64_t t = 0; t < length; ++t) {
      float* level = strip.levels[strip.depth + t] + v * Vector::kLanes;
      const auto value = Vector::add(Vector::multiply(Vector::load(level), scale), offset);
      Vector::store(level, w.rounds_values ? Vector::round_to_bf16(value) : value);
    }
    Vector::store(scales, Vector::all(1.0f));
  }
}

/// Fills the strip with the next segments, as many as fit.
template <class Vector, class Decoder, int kVectors>
void fill_strip(PanelCursor& cursor, Decoder& decoder, Strip<Vector, kVectors>& strip) {
  strip.depth = strip.segments = 0;
  while (!cursor.done() && strip.depth + cursor.segment() <= kStripDepth) {
    const std::int64_t length = cursor.segment();
    strip.out = strip.levels[strip.depth];
    begin_segment(cursor, decoder);
    take_segment<Vector, kVectors>(cursor, decoder, strip);
    for (int v = 0; v < kVectors; ++v)
      Vector::store(strip.scales[strip.segments] + v * Vector::kLanes,
                    load_scales<Vector>(cursor.w->scale, cursor.parameters, v));
    if (cursor.w->offsets) add_offsets(cursor, strip, length);
    strip.lengths[strip.segments++] = length;
    strip.depth += length;
  }
}

/// Adds the strip's part of the product to all rows of y: activations and results from the strip's first step and
/// column on. A function of its own, so that one is compiled for all decoders.
template <class Vector, int kVectors>
__attribute__((noinline)) void multiply_strip(const GemmArgs& args, const Strip<Vector, kVectors>& strip,
                                              std::int64_t column, std::int64_t begin) {
  constexpr int kTileVectors = kVectors < Vector::kTileVectors ? kVectors : Vector::kTileVectors;
  constexpr int kRows = kTileVectors == 1 ? 12 : 6;
  const std::int64_t step = even_step(args.m, kRows);
  for (std::int64_t i = 0; i < args.m; i += step) {
    const std::int64_t rows = args.m - i < step ? args.m - i : step;
    std::int64_t t = 0;
    for (std::int64_t s = 0; s < strip.segments; ++s) {
      for (int v = 0; v < kVectors; v += kTileVectors) {
        const std::int64_t first = v * Vector::kLanes;
        const Tile tile{.a = static_cast<const float*>(args.a) + i * args.a_stride + begin + t,
                        .a_stride = args.a_stride,
                        .w = strip.levels[t] + first,
                        .w_stride = strip.kWidth,
                        .depth = strip.lengths[s],
                        .y = args.y + i * args.y_stride + column + first,
                        .y_stride = args.y_stride,
                        .columns = args.n_end - column - first,
                        .scale = strip.scales[s] + first,
                        .first = begin + t == 0};
        fill_some_rows<Vector, kRows, kTileVectors>(tile, rows);
      }
      t += strip.lengths[s];
    }
  }
}

template <class Vector, class Decoder, int kVectors>
void multiply_rows(const GemmArgs& args, std::int64_t column) {
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  PanelCursor cursor = begin_panel(w, args.k, column, kVectors * Vector::kLanes);
  Decoder decoder(w);
  Strip<Vector, kVectors> strip;
  for (std::int64_t begin = 0; !cursor.done(); begin += strip.depth) {
    fill_strip(cursor, decoder, strip);
    multiply_strip(args, strip, column, begin);
  }
}

/// Few rows of a whole panel meet levels in registers, each time as many as there is room for.
template <class Vector, class Decoder, int kVectors>
void multiply_in_registers(const GemmArgs& args, std::int64_t column) {
  constexpr bool kManyRegisters = Vector::kTileVectors == 4;
  const auto* a = static_cast<const float*>(args.a);
  float* y = args.y + column;
  for (std::int64_t left = args.m, rows; left > 0; left -= rows, a += rows * args.a_stride, y += rows * args.y_stride) {
    rows = kManyRegisters && left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if constexpr (kManyRegisters)
      if (rows == 4) multiply_few_rows<Vector, Decoder, 4, kVectors>(args, column, a, y);
    if (rows == 2) multiply_few_rows<Vector, Decoder, 2, kVectors>(args, column, a, y);
    if (rows == 1) multiply_few_rows<Vector, Decoder, 1, kVectors>(args, column, a, y);
  }
}

/// The few columns behind the last whole panel do not matter so much.
template <class Vector, class Decoder, int kVectors>
void multiply_panel(const GemmArgs& args, std::int64_t column) {
  constexpr std::int64_t kFewRows = Vector::kTileVectors == 4 ? 8 : 2;
  if constexpr (Decoder::kBits > 0 && kVectors > 1)
    if (args.m <= kFewRows && !static_cast<const WeightPanels*>(args.w)->offsets)
      return multiply_in_registers<Vector, Decoder, kVectors>(args, column);
  multiply_rows<Vector, Decoder, kVectors>(args, column);
}

template <class Vector, template <class, int, int> class Decoder, int kBits>
void multiply_all_panels(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end;) {
    if (args.n - column >= 4 * Vector::kLanes) {
      multiply_panel<Vector, Decoder<Vector, kBits, 4>, 4>(args, column);
      column += 4 * Vector::kLanes;
    } else {
      multiply_panel<Vector, Decoder<Vector, kBits, 1>, 1>(args, column);
      column += Vector::kLanes;
    }
  }
}

/// Calls the loops for the code's bits, kLeast to kMost.
template <class Vector, template <class, int, int> class Decoder, int kLeast, int kMost>
void multiply_by_bits(const GemmArgs& args, std::int64_t bits) {
  if (bits == kLeast) return multiply_all_panels<Vector, Decoder, kLeast>(args);
  if constexpr (kLeast < kMost) multiply_by_bits<Vector, Decoder, kLeast + 1, kMost>(args, bits);
}

/// The product of rows of float32 with weights of weight_panels.h.
template <class Vector>
void multiply_weight_panels(const GemmArgs& args) {
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  switch (w.decoding) {
    case Decoding::values: return multiply_all_panels<Vector, Values, 16>(args);
    case Decoding::levels:
      if (w.bits <= 4) return multiply_by_bits<Vector, FewLevels, 1, 4>(args, w.bits);
      return multiply_all_panels<Vector, ManyLevels, 0>(args);
    case Decoding::column_levels: return multiply_all_panels<Vector, ColumnLevels, 0>(args);
    case Decoding::channel_levels: return multiply_channel_tables<Vector, FloatSteps>(args, w.bits);
    case Decoding::integers: return multiply_by_bits<Vector, Integers, 1, 8>(args, w.bits);
    case Decoding::small_floats:
      if (w.bits == 6) return multiply_all_panels<Vector, SmallFloats, 6>(args);
      return multiply_all_panels<Vector, SmallFloats, 8>(args);
  }
}

}  // namespace

}  // namespace qb
