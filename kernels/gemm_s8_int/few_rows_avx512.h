// One to four rows against a panel of gemm_s8_int: their sums stay in registers, and levels meet them as they are
// unpacked. Included under several instruction-set flags: everything is anonymous.
#pragma once
#include "kernels/gemm_s8_int/stream_avx512.h"

namespace qb {

namespace {

/// How a block of one row takes a group.
enum class OneRow {
  plain,     ///< the row's zero is 0
  shifted,   ///< it is not: the levels are summed as well
  in_place,  ///< the row's zero is 0, groups are whole chunks, and levels are multiplied where they lie in their bytes:
             ///< their sums are shifted at the group's end
};

/// The longest group whose sums stay in int32 when levels are multiplied in place, at most 255 times 128 each.
constexpr std::int64_t kLongestInPlace = 1 << 16;

/// Sums of a block of one row, which stay in registers.
template <class Codes, OneRow kWay, int kVectors>
struct RowSums {
  static constexpr int kChains = kWay == OneRow::in_place ? 8 / Codes::kBits : 2;
  __m512 sum[kVectors];             ///< of the groups that are done
  __m512i dots[kVectors][kChains];  ///< of the group at hand; by place, where levels are multiplied in place
  __m512i level_sum[kVectors];      ///< of the group at hand; OneRow::shifted

  QB_INLINE void begin_group() {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) level_sum[v] = _mm512_setzero_si512();
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
  if constexpr (kWay == OneRow::in_place) {
    dot(row.dots[kVector][kQuad / kBits], codes.template in_place<kQuad>(own), quads[kQuad - kFirst]);
  } else {
    const __m512i levels = codes.template level<kQuad>(own);
    dot(row.dots[kVector][kIndex % 2], levels, quads[kQuad - kFirst]);
    if constexpr (kWay == OneRow::shifted) dot(row.level_sum[kVector], levels, _mm512_set1_epi8(1));
  }
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
  constexpr bool kHalves = kWay != OneRow::in_place;
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

/// A block of one row.
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
    row.begin_group();
    add_group(row, block, codes, walk.begin, walk.end);
    __m512i dots[kVectors];
    if constexpr (kWay == OneRow::shifted) set_fixed(block, row.level_sum, with);
    start_group<kFinish>(with, *with.a_sum, dots);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[v] = _mm512_add_epi32(dots[v], row.dots_of(v));
    if (with.a_scale)
      finish_group<kFinish, true>(with, 0, dots, row.sum);
    else
      finish_group<kFinish, false>(with, 0, dots, row.sum);
  }
  store_row<kVectors>(args, block.first_row, column, row.sum);
}

/// Sums of a block of a few rows over the group at hand.
template <int kRows, bool kShifted, int kVectors>
struct GroupSums {
  __m512i dots[kRows][kVectors];  ///< one chain for each row and vector
  __m512i level_sum[kVectors];    ///< kShifted
};

/// Adds the products of kCount quads from kFirst on, chunk at `lines`, with the rows at `a`, each at its k = t.
template <int kFirst, int kCount, class Codes, int kRows, bool kShifted, int kVectors, int kIndex = 0>
QB_INLINE void add_quads(GroupSums<kRows, kShifted, kVectors>& sums, const Codes& codes, const std::uint8_t* lines,
                         const std::int8_t* const (&a)[kRows], std::int64_t t) {
  constexpr int kQuad = quad_in_order<Codes::kBits, kFirst, kCount>(kIndex);
  __m512i levels[kVectors];
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    levels[v] = codes.template level<kQuad>(lines + 64 * Codes::kBits * v);
    __asm__("" : "+v"(levels[v]));  // or gcc 12 loads whole bytes again for each row
    if constexpr (kShifted) dot(sums.level_sum[v], levels[v], _mm512_set1_epi8(1));
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) {
    const __m512i four = broadcast_four(a[r] + t + 4 * kQuad);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dot(sums.dots[r][v], levels[v], four);
  }
  if constexpr (kIndex + 1 < kCount)
    add_quads<kFirst, kCount, Codes, kRows, kShifted, kVectors, kIndex + 1>(sums, codes, lines, a, t);
}

/// The same of the group [begin, end).
template <class Codes, int kRows, bool kShifted, int kVectors>
QB_INLINE void add_group(GroupSums<kRows, kShifted, kVectors>& sums, Block<kVectors>& block, const Codes& codes,
                         const std::int8_t* const (&a)[kRows], std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kBytes = 64 * Codes::kBits * kVectors;
  std::int64_t t = begin;
  if (t % kChunk != 0) {
    add_quads<4, 4>(sums, codes, block.stream, a, t - kChunk / 2);
    block.stream += kBytes;
    t += kChunk / 2;
  }
  for (; t + kChunk / 2 < end; t += kChunk, block.stream += kBytes) {
    block.fetch(kBytes / 64, kAhead);
    add_quads<0, 8>(sums, codes, block.stream, a, t);
  }
  if (t < end) {
    block.fetch(kBytes / 64, kAhead);
    add_quads<0, 4>(sums, codes, block.stream, a, t);
  }
}

/// A block of kRows rows. kShifted: their zero is not 0.
template <class Codes, Finish kFinish, int kRows, bool kShifted, int kVectors>
__attribute__((noinline)) void fill_few_rows(Block<kVectors>& block, std::int64_t column) {
  const GemmArgs& args = *block.args;
  const Codes codes(*block.at);
  const std::int64_t groups = block.at->groups;
  const std::int8_t* a[kRows];
  __m512 sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) {
    a[r] = block.a + r * args.a_stride;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_setzero_ps();
  }
  GroupSums<kRows, kShifted, kVectors> sums;
  Parameters<kVectors> with;
  std::int64_t span_end = 0;
  for (GroupWalk walk{block.at->group, args.k}; walk.begin < args.k; walk.next()) {
    if (walk.begin == span_end) {
      open_section(block);
      span_end += block.at->span;
    }
    read_parameters<kFinish>(block, walk.group, with);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) sums.level_sum[v] = _mm512_setzero_si512();
    QB_UNROLL for (int r = 0; r < kRows; ++r) start_group<kFinish>(with, with.a_sum[r * groups], sums.dots[r]);
    add_group(sums, block, codes, a, walk.begin, walk.end);
    if constexpr (kShifted) set_fixed(block, sums.level_sum, with);
    if constexpr (kShifted) {
      QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sums.dots[r][v] =
          _mm512_add_epi32(sums.dots[r][v], with.fixed[v]);
    } else if (with.a_scale) {
      QB_UNROLL for (int r = 0; r < kRows; ++r) finish_group<kFinish, true>(with, r * groups, sums.dots[r], sum[r]);
      continue;
    }
    QB_UNROLL for (int r = 0; r < kRows; ++r) finish_group<kFinish, false>(with, r * groups, sums.dots[r], sum[r]);
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) store_row<kVectors>(args, block.first_row + r, column, sum[r]);
}

}  // namespace

}  // namespace qb
