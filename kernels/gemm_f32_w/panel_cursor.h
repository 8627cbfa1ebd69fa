// Reading a panel of weight_panels.h from its begin to its end, one segment after another. Who reads a segment's
// parameters before its codes touches the lines of memory in rising order, and the processor fetches them by itself.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_f32_w/decoders.h"

namespace qb {

namespace {

/// Where a panel is read next.
struct PanelCursor {
  const WeightPanels* w;
  std::int64_t k, width;            ///< of the panel, in columns
  std::int64_t t = 0;               ///< along k, a multiple of 16 until k is reached
  std::int64_t group_left = 0;      ///< weights of the group at hand; 0: a group begins
  const unsigned char* stream;      ///< of the chunk that follows
  const unsigned char* codes;       ///< of the chunk at hand
  const unsigned char* parameters;  ///< of the group at hand
  const unsigned char* next_parameters;

  bool done() const { return t >= k; }
  std::int64_t segment() const {  ///< length of the segment that comes next
    const std::int64_t in_group = group_left > 0 ? group_left : w->group, in_row = k - t;
    const std::int64_t rest = in_group < in_row ? in_group : in_row;
    return rest < kSegment ? rest : kSegment;
  }
};

/// The panel that begins at `column` and has `width` columns.
QB_INLINE PanelCursor begin_panel(const WeightPanels& w, std::int64_t k, std::int64_t column, std::int64_t width) {
  PanelCursor cursor;
  cursor.w = &w;
  cursor.k = k;
  cursor.width = width;
  cursor.stream = reinterpret_cast<const unsigned char*>(&w) + w.stream + column * w.column_bytes;
  cursor.codes = cursor.parameters = cursor.next_parameters = cursor.stream;
  return cursor;
}

/// Goes to the chunk at t: behind the parameters of the groups that begin in it.
template <int kBits>
QB_INLINE void enter_chunk(PanelCursor& cursor) {
  const WeightPanels& w = *cursor.w;
  cursor.next_parameters = cursor.stream;
  for (std::int64_t begin = cursor.group_left; begin < kChunk && cursor.t + begin < cursor.k; begin += w.group)
    cursor.stream += w.group_bytes * cursor.width;
  cursor.codes = cursor.stream;
  cursor.stream += 4 * (kBits > 0 ? kBits : w.bits) * cursor.width;
}

/// Takes the 8 pairs of half a chunk: sink.pair(i) once, then sink.take(decoder, word, v, shift) for each vector.
template <class Vector, int kVectors, class Decoder, class Sink>
QB_INLINE void take_half(const unsigned char* codes, int half, const Decoder& decoder, Sink& sink) {
  constexpr int kBits = Decoder::kBits, kLine = 4 * Vector::kLanes;
  QB_UNROLL for (int pair = 0; pair < 8; ++pair) {
    const int bit = (8 * half + pair) * kBits, shift = bit % 16;
    const unsigned char* lines = codes + bit / 16 * kVectors * kLine;
    sink.pair(pair);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const auto word = Vector::load_words(lines + v * kLine);
      if (shift + kBits > 16) {
        const auto rest = Vector::load_words(lines + (kVectors + v) * kLine);
        const auto joined = Vector::either(Vector::right_halves(word, shift), Vector::left_halves(rest, 16 - shift));
        sink.take(decoder, joined, v, 0);
      } else {
        sink.take(decoder, word, v, shift);
      }
    }
  }
}

/// As take_half, for codes of `bits` bits.
template <class Vector, int kVectors, class Decoder, class Sink>
QB_INLINE void take_half_of(const unsigned char* codes, int bits, int half, const Decoder& decoder, Sink& sink) {
  constexpr int kLine = 4 * Vector::kLanes;
  for (int pair = 8 * half; pair < 8 * half + 8; ++pair) {
    const int shift = pair * bits % 16;
    const unsigned char* lines = codes + pair * bits / 16 * kVectors * kLine;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      auto word = Vector::right_halves(Vector::load_words(lines + v * kLine), shift);
      if (shift + bits > 16) {
        const auto rest = Vector::load_words(lines + (kVectors + v) * kLine);
        word = Vector::either(word, Vector::left_halves(rest, 16 - shift));
      }
      sink.take(decoder, word, v, 0);
    }
  }
}

/// Goes to the next segment, whose parameters then can be read.
template <class Decoder>
QB_INLINE void begin_segment(PanelCursor& cursor, Decoder& decoder) {
  if (cursor.t % kChunk == 0) enter_chunk<Decoder::kBits>(cursor);
  if (cursor.group_left > 0) return;
  cursor.parameters = cursor.next_parameters;
  cursor.next_parameters += cursor.w->group_bytes * cursor.width;
  cursor.group_left = cursor.w->group;
  decoder.begin_group(cursor.parameters);
}

/// Takes the segment that has begun: sink.half(t) before each 16 weights, whose pairs follow.
template <class Vector, int kVectors, class Decoder, class Sink>
QB_INLINE void take_segment(PanelCursor& cursor, Decoder& decoder, Sink& sink) {
  const std::int64_t end = cursor.t + cursor.segment();
  cursor.group_left -= end - cursor.t;
  const std::int64_t left_at_end = cursor.group_left;
  constexpr int kBits = Decoder::kBits;
  const auto take = [&](int half) __attribute__((always_inline)) {
    sink.half(cursor.t);
    if constexpr (kBits == 0)
      take_half_of<Vector, kVectors>(cursor.codes, int(cursor.w->bits), half, decoder, sink);
    else
      take_half<Vector, kVectors>(cursor.codes, half, decoder, sink);
    cursor.t += kChunk / 2;
  };
  for (;;) {
    if (cursor.t % kChunk == 0) take(0);
    if (cursor.t >= end) break;
    take(1);
    if (cursor.t >= end) break;
    cursor.group_left = left_at_end + end - cursor.t;
    enter_chunk<kBits>(cursor);
  }
  cursor.group_left = left_at_end;
}

}  // namespace

}  // namespace qb
