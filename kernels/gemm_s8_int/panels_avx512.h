// Panels of gemm_s8_int against rows of int8, for any decoder of codes_avx512.h. Rows inside: the levels of a chunk are
// unpacked into registers once and meet every row of a block, whose sums wait in the first-level cache. Included under
// several instruction-set flags: everything is anonymous.
#pragma once
#include "kernels/gemm_s8_int/few_rows_avx512.h"

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

/// The chunk at k = t against every row of the block.
template <Finish kFinish, bool kGrouped, bool kFirst, bool kMiddle, bool kLast, int kVectors>
QB_INLINE void multiply_rows(Block<kVectors>& block, const __m512i (&levels)[kVectors][8], std::int64_t t,
                             const Parameters<kVectors>& at_middle, const Parameters<kVectors>& at_end) {
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
      start_group<kFinish>(at_middle, at_middle.a_sum[r * groups], start);
      for (int v = 0; v < kVectors; ++v) dots[v] = kFirst ? start[v] : _mm512_add_epi32(dots[v], start[v]);
      dot_quads<kVectors>(levels, 0, 4, a, dots);
      finish_group<kFinish, kGrouped>(at_middle, r * groups, dots, sum);
      dot_quads<kVectors>(levels, 4, 8, a, late);
      for (int v = 0; v < kVectors; ++v) dots[v] = late[v];
    } else {
      dot_all_quads<kVectors>(levels, a, dots, late);
    }
    if constexpr (kLast)
      finish_group<kFinish, kGrouped>(at_end, r * groups, dots, sum);
    else
      for (int v = 0; v < kVectors; ++v) _mm512_store_si512(block.part[r][v], dots[v]);
    if constexpr (kMiddle || kLast)
      for (int v = 0; v < kVectors; ++v) _mm512_store_ps(block.sum[r][v], sum[v]);
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
  if constexpr (kMiddle || kLast)
    if (block.a_scale) return multiply_rows<kFinish, true, kFirst, kMiddle, kLast>(block, levels, t, at_middle, at_end);
  multiply_rows<kFinish, false, kFirst, kMiddle, kLast>(block, levels, t, at_middle, at_end);
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

/// A block of two to four rows.
template <class Codes, Finish kFinish, bool kShifted, int kVectors>
QB_INLINE void fill_few(Block<kVectors>& block, std::int64_t column) {
  switch (block.rows) {
    case 4: return fill_few_rows<Codes, kFinish, 4, kShifted>(block, column);
    case 3: return fill_few_rows<Codes, kFinish, 3, kShifted>(block, column);
    default: return fill_few_rows<Codes, kFinish, 2, kShifted>(block, column);
  }
}

/// A block of eight rows with one scale each and zero 0, as two of four: the panel is read twice, the second time near
/// by, and no sum leaves its register.
template <class Codes, Finish kFinish, int kVectors>
QB_INLINE void fill_twice_four(Block<kVectors>& block, std::int64_t column) {
  const std::uint8_t* stream = block.stream;
  block.rows = 4;
  fill_few_rows<Codes, kFinish, 4, false>(block, column);
  block.stream = stream;
  block.first_row += 4;
  block.a += 4 * block.args->a_stride;
  block.a_sum += 4 * block.at->groups;
  fill_few_rows<Codes, kFinish, 4, false>(block, column);
}

template <class Codes, Finish kFinish, int kVectors>
QB_INLINE void fill_rows(Block<kVectors>& block, std::int64_t column) {
  constexpr bool kMayShift = kFinish != Finish::middle;
  const std::int64_t group = block.at->group;
  const bool shifted = block.a_zero() != 0;
  if (block.rows == 1) {
    if constexpr (kMayShift)
      if (shifted) return fill_row<Codes, kFinish, OneRow::shifted>(block, column);
    if constexpr (kVectors == 2 && Codes::kStaysInPlace)
      if (group * Codes::kBits >= 128 && group <= kLongestInPlace && (group % kChunk == 0 || block.at->groups == 1))
        return fill_row<Codes, kFinish, OneRow::in_place>(block, column);
    return fill_row<Codes, kFinish, OneRow::plain>(block, column);
  }
  if constexpr (kVectors == 2 && Codes::kBits <= 4)
    if (block.rows == 8 && !shifted && group >= kChunk && !block.a_scale)
      return fill_twice_four<Codes, kFinish>(block, column);
  if (kVectors == 1 || block.rows > 4) return fill_block<Codes, kFinish>(block, column);
  if constexpr (kVectors == 2) {
    if constexpr (kMayShift)
      if (shifted) return fill_few<Codes, kFinish, true>(block, column);
    fill_few<Codes, kFinish, false>(block, column);
  }
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
                                          std::int64_t column, bool adds_exponents) {
  Block<kVectors> block;
  block.args = &args;
  block.at = static_cast<const S8Int*>(args.w);
  block.first_row = first_row;
  block.rows = rows;
  block.a = static_cast<const std::int8_t*>(args.a) + first_row * args.a_stride;
  block.stream = static_cast<const std::uint8_t*>(args.w) + block.at->codes + column / kPanel * block.at->panel_bytes;
  const S8Int& at = *block.at;
  block.record_bytes = 16 * kVectors * (at.scale_bytes + at.offset_bytes + at.zero_bytes);
  block.a_sum = args.a_group_sum + first_row * at.groups;
  block.adds_exponents = adds_exponents;
  block.a_scale = args.a_scales > 1 ? args.a_scale + first_row * at.groups : nullptr;
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
  const bool adds_exponents = exponents_add(args, *static_cast<const S8Int*>(args.w));
  std::int64_t rows = 0;
  for (std::int64_t first = 0; first < args.m; first += rows) {
    rows = rows_of_block(args, first);
    for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel)
      args.n_end - column <= 16 ? fill_panel<Codes, 1>(args, first, rows, column, adds_exponents)
                                : fill_panel<Codes, 2>(args, first, rows, column, adds_exponents);
  }
}

}  // namespace

}  // namespace qb
