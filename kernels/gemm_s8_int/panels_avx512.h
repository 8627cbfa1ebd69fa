// Panels of gemm_s8_int against rows of int8, for any decoder of codes_avx512.h. Rows inside: the levels of a chunk are
// unpacked into registers once and meet every row of a block, whose sums wait in the first-level cache. Included under
// several instruction-set flags: everything is anonymous.
#pragma once
#include "kernels/gemm_s8_int/stream_avx512.h"

namespace qb {

namespace {

/// dots += the products of quads [first, end) with a row at `a`; kVectors columns share each broadcast.
template <int kVectors>
QB_INLINE void dot_quads(const __m512i (*levels)[8], int first, int end, const std::int8_t* a, __m512i* dots) {
  for (int q = first; q < end; ++q) {
    const __m512i four = broadcast_four(a + 4 * q);
    for (int v = 0; v < kVectors; ++v) dot(dots[v], levels[v][q], four);
  }
}

/// The same of a whole chunk in two chains, of which the second begins with `late`.
template <int kVectors>
QB_INLINE void dot_all_quads(const __m512i (*levels)[8], const std::int8_t* a, __m512i* dots, __m512i* late) {
  for (int q = 0; q < 4; ++q) {
    const __m512i four = broadcast_four(a + 4 * q), later = broadcast_four(a + 4 * (q + 4));
    for (int v = 0; v < kVectors; ++v) {
      dot(dots[v], levels[v][q], four);
      dot(late[v], levels[v][q + 4], later);
    }
  }
  for (int v = 0; v < kVectors; ++v) dots[v] = _mm512_add_epi32(dots[v], late[v]);
}

/// How a chunk lies to the groups.
struct Borders {
  bool first;   ///< a group begins with the chunk
  bool middle;  ///< one ends after 16 weights, and another begins
  bool last;    ///< one ends with the chunk, or with the row
};

/// Where the groups lie, chunk by chunk.
struct GroupWalk {
  std::int64_t size, k;
  std::int64_t group = 0, begin = 0, end = size < k ? size : k;

  /// Of the chunk at t; `group` becomes the one that goes on behind its middle.
  QB_INLINE Borders at(std::int64_t t) {
    Borders borders{t == begin, end == t + kChunk / 2 && end < k, false};
    if (borders.middle) next();
    borders.last = end <= t + kChunk;
    return borders;
  }
  QB_INLINE void next() {
    ++group;
    begin = end;
    end = end + size < k ? end + size : k;
  }
};

/// Adds the levels of quads [from, to) to the group's; at its end, what they cost at the rows' zero.
template <int kVectors>
QB_INLINE void sum_levels(Block<kVectors>& block, const __m512i (&levels)[kVectors][8], int from, int to,
                          Parameters<kVectors>* ending) {
  for (int v = 0; v < kVectors; ++v) {
    __m512i sum = block.level_sum[v];
    for (int q = from; q < to; ++q) dot(sum, levels[v][q], _mm512_set1_epi8(1));
    if (ending) ending->fixed[v] = _mm512_mullo_epi32(_mm512_set1_epi32(-block.a_zero()), sum);
    block.level_sum[v] = ending ? _mm512_setzero_si512() : sum;
  }
}

/// The next chunk of the stream, at k = t, against every row of the block. `group` is the one behind its middle.
template <class Codes, Finish kFinish, bool kFirst, bool kMiddle, bool kLast, int kVectors>
__attribute__((noinline)) void multiply_chunk(Block<kVectors>& block, const Codes& codes, std::int64_t t,
                                              std::int64_t group) {
  Parameters<kVectors> at_middle, at_end;
  if constexpr (kMiddle) read_parameters<kFinish>(block, group - 1, at_middle);
  if constexpr (kLast) read_parameters<kFinish>(block, group, at_end);
  __m512i levels[kVectors][8];
  for (int v = 0; v < kVectors; ++v) {
    block.fetch(Codes::kBits, kAhead);
    unpack(codes, block.stream, levels[v]);
    block.stream += 64 * Codes::kBits;
  }
  if constexpr (kFinish != Finish::middle) {
    if (block.a_zero() != 0) {
      if constexpr (kMiddle) sum_levels(block, levels, 0, 4, &at_middle);
      sum_levels(block, levels, kMiddle ? 4 : 0, 8, kLast ? &at_end : nullptr);
    }
  }
  const std::int64_t rows = block.rows, stride = block.args->a_stride, groups = block.at->groups;
  const std::int8_t* a = block.a + t;
  for (std::int64_t r = 0; r < rows; ++r, a += stride) {
    __m512i dots[kVectors], late[kVectors];
    __m512 sum[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      dots[v] = kFirst ? _mm512_setzero_si512() : _mm512_load_si512(block.part[r][v]);
      late[v] = _mm512_setzero_si512();
      if constexpr (kMiddle || kLast) sum[v] = _mm512_load_ps(block.sum[r][v]);
    }
    if constexpr (kLast) start_group<kFinish>(at_end, at_end.a_sum[r * groups], late);
    if constexpr (kMiddle) {
      __m512i start[kVectors];
      const std::int32_t a_sum = at_middle.a_sum[r * groups];
      start_group<kFinish>(at_middle, a_sum, start);
      for (int v = 0; v < kVectors; ++v) dots[v] = kFirst ? start[v] : _mm512_add_epi32(dots[v], start[v]);
      dot_quads<kVectors>(levels, 0, 4, a, dots);
      finish_group<kFinish>(at_middle, a_sum, dots, sum);
      dot_quads<kVectors>(levels, 4, 8, a, late);
      for (int v = 0; v < kVectors; ++v) dots[v] = late[v];
    } else {
      dot_all_quads<kVectors>(levels, a, dots, late);
    }
    if constexpr (kLast)
      finish_group<kFinish>(at_end, at_end.a_sum[r * groups], dots, sum);
    else
      for (int v = 0; v < kVectors; ++v) _mm512_store_si512(block.part[r][v], dots[v]);
    if constexpr (kMiddle || kLast)
      for (int v = 0; v < kVectors; ++v) _mm512_store_ps(block.sum[r][v], sum[v]);
  }
}

template <class Codes, Finish kFinish, bool kFirst, int kVectors>
QB_INLINE void multiply_chunk(Block<kVectors>& block, const Codes& codes, std::int64_t t, std::int64_t group,
                              const Borders& borders) {
  if (borders.middle)
    borders.last ? multiply_chunk<Codes, kFinish, kFirst, true, true>(block, codes, t, group)
                 : multiply_chunk<Codes, kFinish, kFirst, true, false>(block, codes, t, group);
  else
    borders.last ? multiply_chunk<Codes, kFinish, kFirst, false, true>(block, codes, t, group)
                 : multiply_chunk<Codes, kFinish, kFirst, false, false>(block, codes, t, group);
}

template <int kVectors>
QB_INLINE void store_row(const GemmArgs& args, std::int64_t i, std::int64_t column, const __m512* sum) {
  const std::int64_t rest = args.n_end - column - 16 * (kVectors - 1);
  const __mmask16 last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  float* y = args.y + i * args.y_stride + column;
  for (int v = 0; v < kVectors; ++v)
    _mm512_mask_storeu_ps(y + 16 * v, v + 1 < kVectors ? __mmask16(0xffff) : last,
                          _mm512_mul_ps(_mm512_set1_ps(args.a_scale[i]), sum[v]));
}

template <class Codes, Finish kFinish, int kVectors>
void fill_block(Block<kVectors>& block, std::int64_t column) {
  const GemmArgs& args = *block.args;
  const Codes codes(*block.at);
  for (std::int64_t r = 0; r < block.rows; ++r)
    for (int v = 0; v < kVectors; ++v) _mm512_store_ps(block.sum[r][v], _mm512_setzero_ps());
  for (int v = 0; v < kVectors; ++v) block.level_sum[v] = _mm512_setzero_si512();
  GroupWalk walk{block.at->group, args.k};
  std::int64_t span_end = 0;
  for (std::int64_t t = 0; t < args.k; t += kChunk) {
    if (t == span_end) {
      open_section(block);
      span_end += block.at->span;
    }
    const Borders borders = walk.at(t);
    borders.first ? multiply_chunk<Codes, kFinish, true>(block, codes, t, walk.group, borders)
                  : multiply_chunk<Codes, kFinish, false>(block, codes, t, walk.group, borders);
    if (borders.last) walk.next();
  }
  for (std::int64_t r = 0; r < block.rows; ++r) {
    __m512 sum[kVectors];
    for (int v = 0; v < kVectors; ++v) sum[v] = _mm512_load_ps(block.sum[r][v]);
    store_row<kVectors>(args, block.first_row + r, column, sum);
  }
}

/// How a block of one row takes a group.
enum class OneRow {
  halves,    ///< groups may end at odd multiples of 16
  chunks,    ///< whole chunks
  in_place,  ///< the same, and levels are multiplied where they lie in their bytes: sums are shifted at the group's end
};

/// The longest group whose sums stay in int32 when levels are multiplied in place, at most 255 times 128 each.
constexpr std::int64_t kLongestInPlace = 1 << 16;

/// Sums of a block of one row, which stay in registers.
template <class Codes, OneRow kWay, int kVectors>
struct RowSums {
  static constexpr int kChains = kWay == OneRow::in_place ? 8 / Codes::kBits : 2;
  __m512 sum[kVectors];             ///< of the groups that are done
  __m512i dots[kVectors][kChains];  ///< of the group at hand; by place, where levels are multiplied in place

  QB_INLINE void clear_dots() {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) QB_UNROLL for (int c = 0; c < kChains; ++c) dots[v][c] =
        _mm512_setzero_si512();
  }
  QB_INLINE __m512i dots_of(int v) const {
    __m512i all = dots[v][kChains - 1];
    QB_UNROLL for (int c = kChains - 2; c >= 0; --c) {
      if constexpr (kWay == OneRow::in_place) all = _mm512_srai_epi32(all, Codes::kBits);
      all = _mm512_add_epi32(all, dots[v][c]);
    }
    if constexpr (kWay == OneRow::in_place) return Codes::from_place(all);
    return all;
  }
};

/// The i-th of kCount quads from kFirst on, those of one line of the widest plane one after another.
template <int kBits, int kFirst, int kCount>
constexpr int quad_in_order(int i) {
  constexpr int kPlane = largest_power_within(kBits) < kCount ? largest_power_within(kBits) : kCount;
  return kFirst + i % (kCount / kPlane) * kPlane + i / (kCount / kPlane);
}

/// Adds the products of kCount quads from kFirst on, chunk at `lines`, with as many quads of a row. Lines are touched
/// in rising order.
template <int kFirst, int kCount, class Codes, OneRow kWay, int kVectors, int kVector = 0, int kIndex = 0>
QB_INLINE void add_quads(RowSums<Codes, kWay, kVectors>& row, const Codes& codes, const std::uint8_t* lines,
                         const __m512i* quads) {
  constexpr int kBits = Codes::kBits, kQuad = quad_in_order<kBits, kFirst, kCount>(kIndex);
  const std::uint8_t* own = lines + 64 * kBits * kVector;
  if constexpr (kWay == OneRow::in_place)
    dot(row.dots[kVector][kQuad / kBits], codes.template in_place<kQuad>(own), quads[kQuad - kFirst]);
  else
    dot(row.dots[kVector][kIndex % 2], codes.template level<kQuad>(own), quads[kQuad - kFirst]);
  if constexpr (kIndex + 1 < kCount)
    add_quads<kFirst, kCount, Codes, kWay, kVectors, kVector, kIndex + 1>(row, codes, lines, quads);
  else if constexpr (kVector + 1 < kVectors)
    add_quads<kFirst, kCount, Codes, kWay, kVectors, kVector + 1>(row, codes, lines, quads);
}

/// The same with the row at `a`.
template <int kFirst, int kCount, class Sums, class Codes>
QB_INLINE void add_part(Sums& row, const Codes& codes, const std::uint8_t* lines, const std::int8_t* a) {
  __m512i quads[kCount];
  QB_UNROLL for (int q = 0; q < kCount; ++q) quads[q] = broadcast_four(a + 4 * (kFirst + q));
  add_quads<kFirst, kCount>(row, codes, lines, quads);
}

template <class Codes, OneRow kWay, int kVectors>
QB_INLINE void add_group(RowSums<Codes, kWay, kVectors>& row, Block<kVectors>& block, const Codes& codes,
                         std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kBytes = 64 * Codes::kBits * kVectors;
  constexpr bool kHalves = kWay == OneRow::halves;
  std::int64_t t = begin;
  if (kHalves && t % kChunk != 0) {
    add_part<4, 4>(row, codes, block.stream, block.a + t - kChunk / 2);
    block.stream += kBytes;
    t += kChunk / 2;
  }
  for (; kHalves ? t + kChunk / 2 < end : t < end; t += kChunk, block.stream += kBytes)
    add_part<0, 8>(row, codes, block.stream, block.a + t);
  if (kHalves && t < end) add_part<0, 4>(row, codes, block.stream, block.a + t);
}

/// A block of one row whose zero is 0.
template <class Codes, Finish kFinish, OneRow kWay, int kVectors>
__attribute__((noinline)) void fill_row(Block<kVectors>& block, std::int64_t column) {
  const GemmArgs& args = *block.args;
  const Codes codes(*block.at);
  RowSums<Codes, kWay, kVectors> row;
  Parameters<kVectors> with;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) row.sum[v] = _mm512_setzero_ps();
  std::int64_t span_end = 0;
  for (GroupWalk walk{block.at->group, args.k}; walk.begin < args.k; walk.next()) {
    if (walk.begin == span_end) {
      open_section(block);
      span_end += block.at->span;
    }
    read_parameters<kFinish>(block, walk.group, with);  // first: they lie before the codes
    row.clear_dots();
    add_group(row, block, codes, walk.begin, walk.end);
    __m512i dots[kVectors];
    start_group<kFinish>(with, *with.a_sum, dots);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[v] = _mm512_add_epi32(dots[v], row.dots_of(v));
    finish_group<kFinish>(with, *with.a_sum, dots, row.sum);
  }
  store_row<kVectors>(args, block.first_row, column, row.sum);
}

template <class Codes, Finish kFinish, int kVectors>
QB_INLINE void fill_rows(Block<kVectors>& block, std::int64_t column) {
  const std::int64_t group = block.at->group;
  if (block.rows > 1 || block.a_zero() != 0) return fill_block<Codes, kFinish>(block, column);
  if (group % kChunk != 0 && block.at->groups > 1) return fill_row<Codes, kFinish, OneRow::halves>(block, column);
  if constexpr (Codes::kStaysInPlace)
    if (group * Codes::kBits >= 128 && group <= kLongestInPlace)
      return fill_row<Codes, kFinish, OneRow::in_place>(block, column);
  fill_row<Codes, kFinish, OneRow::chunks>(block, column);
}

/// Rows from `first` on that share its zero, as many as wait together and stay in the second-level cache meanwhile.
QB_INLINE std::int64_t rows_of_block(const GemmArgs& args, std::int64_t first) {
  constexpr std::int64_t kCacheBytes = 1 << 19;
  const std::int64_t fitting = kCacheBytes / args.a_stride;
  const std::int64_t most = fitting < 16 ? 16 : fitting < kBlock ? fitting : kBlock;
  std::int64_t rows = 1;
  while (rows < most && first + rows < args.m && args.a_zero[first + rows] == args.a_zero[first]) ++rows;
  return rows;
}

template <class Codes, int kVectors>
__attribute__((noinline)) void fill_panel(const GemmArgs& args, std::int64_t first_row, std::int64_t rows,
                                          std::int64_t column) {
  Block<kVectors> block;
  block.args = &args;
  block.at = static_cast<const S8Int*>(args.w);
  block.first_row = first_row;
  block.rows = rows;
  block.a = static_cast<const std::int8_t*>(args.a) + first_row * args.a_stride;
  block.stream = static_cast<const std::uint8_t*>(args.w) + block.at->codes + column / kPanel * block.at->panel_bytes;
  const S8Int& at = *block.at;
  if constexpr (Codes::kIntegers)
    if (at.offset_bytes) return fill_rows<Codes, Finish::offsets>(block, column);
  if (at.zero_bytes || block.a_zero() != 0)
    fill_rows<Codes, Finish::zeros>(block, column);
  else
    fill_rows<Codes, Finish::middle>(block, column);
}

/// Columns [n_begin, n_end) of the result.
template <class Codes>
QB_INLINE void fill_columns(const GemmArgs& args) {
  std::int64_t rows = 0;
  for (std::int64_t first = 0; first < args.m; first += rows) {
    rows = rows_of_block(args, first);
    for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel)
      args.n_end - column <= 16 ? fill_panel<Codes, 1>(args, first, rows, column)
                                : fill_panel<Codes, 2>(args, first, rows, column);
  }
}

}  // namespace

}  // namespace qb
