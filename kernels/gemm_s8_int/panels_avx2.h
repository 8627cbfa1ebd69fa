// Panels of gemm_s8_int against rows of int8, for any decoder of codes_avx2.h and any way to add products of bytes.
// Rows inside: the levels of a chunk are unpacked once and meet every row of a block, whose sums wait in the
// first-level cache. Included under several instruction-set flags: everything is anonymous.
//
// A Dot<kHighest> multiplies unsigned levels up to kHighest with signed bytes:
//   kParts         vectors that it makes of each level (2: low and high halves of bytes)
//   split(level)   the second of them, where there are two; the first stays with keep(level)
//   sum<kQuads>()  the exact products of kQuads quads with four activations each, summed in each 32-bit lane
#pragma once
#include "kernels/gemm_s8_int/codes_avx2.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 8, kChunk = 32;
constexpr int kQuadsOfChunk = 8;
constexpr int kBlock = 64;                 // rows whose sums wait together: 4 KiB
#define QB_UNROLL _Pragma("GCC unroll 8")  // before registers are assigned: an array that is indexed stays in memory

QB_INLINE __m256i broadcast_four(const std::int8_t* bytes) {
  std::int32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return _mm256_set1_epi32(four);
}

/// What turns sums of a * level into the sums of the definition.
enum class Finish256 {
  middle,   ///< the same zero for all weights, a power of two; no zero of activations
  zeros,    ///< a zero for each column and group, or any zero of activations
  offsets,  ///< no zeros of weights, any zero of activations
};

/// Scales and so on of one group.
struct Parameters256 {
  __m256 scale, offset;     ///< offset: Finish256::offsets
  __m256i zero, level_sum;  ///< zero: Finish256::zeros; level_sum: not Finish256::middle
  __m128i middle_shift;     ///< Finish256::middle
  std::int64_t group;
};

/// A block of rows against one panel.
struct Block256 {
  const GemmArgs* args;
  const S8Int* at;
  const std::int8_t* a;  ///< the block's first row
  std::int64_t first_row, rows;
  const std::uint8_t* stream;  ///< where the panel is read next
  const std::uint8_t* record;  ///< parameters of the group that is read next
  __m256 scale_super, offset_super;
  Parameters256 with;                        ///< of the group at hand
  alignas(32) float sum[kBlock][8];          ///< of the groups that are done
  alignas(32) std::int32_t part[kBlock][8];  ///< of the chunks of the group at hand
};

QB_INLINE __m256i bytes_to_int32(const std::uint8_t* bytes) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
}
QB_INLINE __m256 halves_to_float(const std::uint8_t* bytes) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

/// Scales or offsets of 8 columns.
QB_INLINE __m256 read_values(const S8Int& at, const std::uint8_t* bytes, std::int32_t lowest_step, __m256 super) {
  switch (at.form) {
    case S8IntScale::f32: return _mm256_loadu_ps(reinterpret_cast<const float*>(bytes));
    case S8IntScale::f16: return halves_to_float(bytes);
    case S8IntScale::power: return _mm256_castsi256_ps(_mm256_slli_epi32(bytes_to_int32(bytes), 23));
    case S8IntScale::e4m3: {
      // Shifted into the fields of a float16, an E4M3 number is worth 2^-8 of itself.
      const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
      const __m128i half = _mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(short(0xbfff)));
      return _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(at.e4m3_unit * 256.0f));
    }
    case S8IntScale::steps: break;
  }
  const __m256i step = _mm256_add_epi32(bytes_to_int32(bytes), _mm256_set1_epi32(lowest_step));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(step), super);
}

/// Reads what stands at the head of a span.
QB_INLINE void open_section(Block256& block) {
  const S8Int& at = *block.at;
  const std::int64_t record_bytes = at.scale_bytes + at.offset_bytes + at.zero_bytes;
  if (at.super_bytes) block.scale_super = halves_to_float(block.stream);
  if (at.super_bytes > 2) block.offset_super = halves_to_float(block.stream + 16);
  block.record = block.stream + 8 * at.super_bytes;
  block.stream += (8 * (at.super_bytes + at.groups_per_span * record_bytes) + 31) / 32 * 32;
}

/// Reads the parameters of the next group.
template <Finish256 kFinish>
QB_INLINE void open_group(Block256& block, std::int64_t group) {
  const S8Int& at = *block.at;
  block.with.group = group;
  block.with.scale = read_values(at, block.record, at.lowest_step, block.scale_super);
  block.record += 8 * at.scale_bytes;
  if constexpr (kFinish == Finish256::offsets) {
    block.with.offset = read_values(at, block.record, at.lowest_offset_step, block.offset_super);
    block.record += 8 * at.offset_bytes;
  }
  if constexpr (kFinish == Finish256::middle) block.with.middle_shift = _mm_cvtsi32_si128(int(at.middle_shift));
  if constexpr (kFinish == Finish256::zeros) {
    block.with.zero = _mm256_set1_epi32(1 << (at.middle_shift & 31));
    if (at.zero_bytes) block.with.zero = bytes_to_int32(block.record);
    block.record += 8 * at.zero_bytes;
  }
  block.with.level_sum = _mm256_setzero_si256();
}

/// What the definition takes from one row besides its codes: sum of (code - zero) over the group, the zero, and the
/// group's scale (null: the row has one).
struct RowOfGroup {
  const std::int32_t* a_sum;
  const std::int32_t* a_zero;
  const float* a_scale;
};
QB_INLINE RowOfGroup first_row_of(const Block256& block) {
  const GemmArgs& args = *block.args;
  const std::int64_t at = block.first_row * block.at->groups + block.with.group;
  return {args.a_group_sum + at, args.a_zero + block.first_row, args.a_scales > 1 ? args.a_scale + at : nullptr};
}

/// Sums of one row over a group become float32 and join the sums of the groups before.
template <Finish256 kFinish>
QB_INLINE __m256 finish_group(const Parameters256& with, const RowOfGroup& row, __m256i dots, __m256 sum) {
  const __m256i a_sum = _mm256_set1_epi32(*row.a_sum);
  if constexpr (kFinish == Finish256::middle)
    dots = _mm256_sub_epi32(dots, _mm256_sll_epi32(a_sum, with.middle_shift));
  else
    dots = _mm256_sub_epi32(dots, _mm256_mullo_epi32(_mm256_set1_epi32(*row.a_zero), with.level_sum));
  if constexpr (kFinish == Finish256::zeros) dots = _mm256_sub_epi32(dots, _mm256_mullo_epi32(a_sum, with.zero));
  __m256 scale = with.scale, offset = with.offset;
  if (row.a_scale) {
    const __m256 step = _mm256_set1_ps(*row.a_scale);
    scale = _mm256_mul_ps(scale, step);
    if constexpr (kFinish == Finish256::offsets) offset = _mm256_mul_ps(offset, step);
  }
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scale, sum);
  if constexpr (kFinish == Finish256::offsets) sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(a_sum), offset, sum);
  return sum;
}

/// The levels of a chunk as a Dot wants them.
template <class Dot>
struct Chunk {
  __m256i levels[Dot::kParts][kQuadsOfChunk];
};

template <int kQuad = 0, class Codes, class Dot>
QB_INLINE void unpack(const Codes& codes, const std::uint8_t* lines, Chunk<Dot>& chunk) {
  const __m256i level = codes.template level<kQuad>(lines);
  chunk.levels[0][kQuad] = Dot::keep(level);
  if constexpr (Dot::kParts == 2) chunk.levels[1][kQuad] = Dot::split(level);
  if constexpr (kQuad + 1 < kQuadsOfChunk) unpack<kQuad + 1>(codes, lines, chunk);
}

/// kQuads quads of a chunk, from quad `first_quad` on and with k = t there.
struct Piece {
  std::int64_t t;
  int first_quad;
  bool first, last;  ///< of its group
};

/// A piece against every row of the block.
template <class Dot, Finish256 kFinish, int kQuads, bool kFirst, bool kLast>
__attribute__((noinline)) void multiply_rows(Block256& block, const Chunk<Dot>& chunk, const Piece& piece) {
  __m256i levels[Dot::kParts][kQuads];
  QB_UNROLL for (int p = 0; p < Dot::kParts; ++p) QB_UNROLL for (int q = 0; q < kQuads; ++q) {
    levels[p][q] = chunk.levels[p][piece.first_quad + q];
    __asm__("" : "+x"(levels[p][q]));  // else they are read again for every row
  }
  const std::int8_t* a = block.a + piece.t;
  const Parameters256 with = block.with;  // copies, for the stores below could reach the block
  const std::int64_t rows = block.rows, stride = block.args->a_stride, groups = block.at->groups;
  RowOfGroup row = first_row_of(block);
  for (std::int64_t r = 0; r < rows; ++r, a += stride, row.a_sum += groups, ++row.a_zero) {
    if (r > 0 && row.a_scale) row.a_scale += groups;
    auto* part = reinterpret_cast<__m256i*>(block.part[r]);
    __m256i dots = Dot::template sum<kQuads>(levels, a);
    if constexpr (!kFirst) dots = _mm256_add_epi32(dots, _mm256_load_si256(part));
    if constexpr (kLast) {
      float* sum = block.sum[r];
      _mm256_store_ps(sum, finish_group<kFinish>(with, row, dots, _mm256_load_ps(sum)));
    } else {
      _mm256_store_si256(part, dots);
    }
  }
}

template <class Dot, int kQuads, class Levels>
QB_INLINE __m256i sum_of_levels(const Levels& levels) {
  alignas(4) std::int8_t ones[4 * kQuads];
  __builtin_memset(ones, 1, sizeof ones);
  return Dot::template sum<kQuads>(levels, ones);
}

template <class Dot, Finish256 kFinish, int kQuads>
QB_INLINE void multiply_piece(Block256& block, const Chunk<Dot>& chunk, const Piece& piece) {
  if constexpr (kFinish != Finish256::middle) {
    __m256i levels[Dot::kParts][kQuads];
    for (int p = 0; p < Dot::kParts; ++p)
      for (int q = 0; q < kQuads; ++q) levels[p][q] = chunk.levels[p][piece.first_quad + q];
    block.with.level_sum = _mm256_add_epi32(block.with.level_sum, sum_of_levels<Dot, kQuads>(levels));
  }
  if (piece.first)
    piece.last ? multiply_rows<Dot, kFinish, kQuads, true, true>(block, chunk, piece)
               : multiply_rows<Dot, kFinish, kQuads, true, false>(block, chunk, piece);
  else
    piece.last ? multiply_rows<Dot, kFinish, kQuads, false, true>(block, chunk, piece)
               : multiply_rows<Dot, kFinish, kQuads, false, false>(block, chunk, piece);
}

/// Cuts a panel into pieces that no border of a group crosses, in rising order: body.template take<kFirst,
/// kCount>(chunk, piece) for each. Groups begin at multiples of 16 and end there or at k.
template <Finish256 kFinish, class Dot, class Codes, class Body>
QB_INLINE void walk_pieces(Block256& block, const Codes& codes, Body& body) {
  constexpr std::int64_t kHalf = kChunk / 2;
  const std::int64_t k = block.args->k, size = block.at->group;
  std::int64_t span_end = 0, group = 0, begin = 0, end = size < k ? size : k;
  const auto advance = [&](std::int64_t next) __attribute__((always_inline)) {
    if (next < end) return;
    ++group;
    begin = end;
    end = begin + size < k ? begin + size : k;
  };
  for (std::int64_t t = 0; t < k; t += kChunk) {
    if (t == span_end) {
      open_section(block);
      span_end += block.at->span;
    }
    Chunk<Dot> chunk;
    unpack(codes, block.stream, chunk);
    body.fetch(block.stream);
    block.stream += 32 * Codes::kBits;
    if (t == begin) open_group<kFinish>(block, group);
    if (Dot::kParts == 1 && (end >= t + kChunk || (end == k && end > t + kHalf))) {
      body.template take<0, 8>(chunk, Piece{t, 0, t == begin, end <= t + kChunk});
    } else {
      body.template take<0, 4>(chunk, Piece{t, 0, t == begin, end <= t + kHalf});
      advance(t + kHalf);
      if (t + kHalf >= k) return;
      if (t + kHalf == begin) open_group<kFinish>(block, group);
      body.template take<4, 4>(chunk, Piece{t + kHalf, 4, t + kHalf == begin, end <= t + kChunk});
    }
    advance(t + kChunk);
  }
}

/// Many rows: sums in memory.
template <class Dot, Finish256 kFinish>
struct BlockBody {
  Block256& block;
  QB_INLINE void fetch(const std::uint8_t*) const {}
  template <int, int kCount>
  QB_INLINE void take(const Chunk<Dot>& chunk, const Piece& piece) {
    multiply_piece<Dot, kFinish, kCount>(block, chunk, piece);
  }
};

/// One row: sums in registers.
template <class Dot, Finish256 kFinish>
struct RowBody {
  Block256& block;
  __m256 sum = _mm256_setzero_ps();
  __m256i dots = _mm256_setzero_si256();

  static constexpr std::int64_t kAhead = 4096;
  QB_INLINE void fetch(const std::uint8_t* stream) const {
    _mm_prefetch(reinterpret_cast<const char*>(stream + kAhead), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(stream + kAhead + 64), _MM_HINT_T0);
  }
  template <int kFirst, int kCount>
  QB_INLINE void take(const Chunk<Dot>& chunk, const Piece& piece) {
    __m256i levels[Dot::kParts][kCount];
    QB_UNROLL for (int p = 0; p < Dot::kParts; ++p) QB_UNROLL for (int q = 0; q < kCount; ++q) levels[p][q] =
        chunk.levels[p][kFirst + q];
    const __m256i products = Dot::template sum<kCount>(levels, block.a + piece.t);
    dots = piece.first ? products : _mm256_add_epi32(dots, products);
    if constexpr (kFinish != Finish256::middle)
      block.with.level_sum = _mm256_add_epi32(block.with.level_sum, sum_of_levels<Dot, kCount>(levels));
    if (piece.last) sum = finish_group<kFinish>(block.with, first_row_of(block), dots, sum);
  }
};

QB_INLINE void store_row(const GemmArgs& args, std::int64_t i, std::int64_t column, __m256 sum) {
  const auto rest = int(args.n_end - column < 8 ? args.n_end - column : 8);
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  const __m256 scale = _mm256_set1_ps(args.a_scales > 1 ? 1.0f : args.a_scale[i]);
  _mm256_maskstore_ps(args.y + i * args.y_stride + column, mask, _mm256_mul_ps(scale, sum));
}

template <class Codes, class Dot, Finish256 kFinish>
__attribute__((noinline)) void fill_block(Block256& block, std::int64_t column) {
  const Codes codes(*block.at);
  if (block.rows == 1) {
    RowBody<Dot, kFinish> body{block};
    walk_pieces<kFinish, Dot>(block, codes, body);
    return store_row(*block.args, block.first_row, column, body.sum);
  }
  for (std::int64_t r = 0; r < block.rows; ++r) _mm256_store_ps(block.sum[r], _mm256_setzero_ps());
  BlockBody<Dot, kFinish> body{block};
  walk_pieces<kFinish, Dot>(block, codes, body);
  for (std::int64_t r = 0; r < block.rows; ++r)
    store_row(*block.args, block.first_row + r, column, _mm256_load_ps(block.sum[r]));
}

/// Columns [n_begin, n_end) of the result. A block of rows stays in the second-level cache while the panels pass.
template <class Codes, template <int> class DotUpTo>
void fill_columns(const GemmArgs& args) {
  using Dot = DotUpTo<Codes::kHighest>;
  Block256 block;
  block.args = &args;
  block.at = static_cast<const S8Int*>(args.w);
  const std::uint8_t* panels = static_cast<const std::uint8_t*>(args.w) + block.at->codes;
  for (block.first_row = 0; block.first_row < args.m; block.first_row += kBlock) {
    block.rows = args.m - block.first_row < kBlock ? args.m - block.first_row : kBlock;
    block.a = static_cast<const std::int8_t*>(args.a) + block.first_row * args.a_stride;
    bool zeros = block.at->zero_bytes != 0;
    for (std::int64_t r = 0; r < block.rows; ++r) zeros = zeros || args.a_zero[block.first_row + r] != 0;
    for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
      block.stream = panels + column / kPanel * block.at->panel_bytes;
      if (block.at->offset_bytes)
        fill_block<Codes, Dot, Finish256::offsets>(block, column);
      else if (zeros)
        fill_block<Codes, Dot, Finish256::zeros>(block, column);
      else
        fill_block<Codes, Dot, Finish256::middle>(block, column);
    }
  }
}

/// The same for whatever codes the weights have.
template <template <int> class DotUpTo>
QB_INLINE void fill_columns_of_any_codes(const GemmArgs& args) {
  const auto& at = *static_cast<const S8Int*>(args.w);
  const bool looked_up = at.level[0] != 0;  // integers, signs and ternary levels begin with 0
  switch (at.bits) {
    case 1:
      return at.level[1] == 2 ? fill_columns<SignCodes, DotUpTo>(args) : fill_columns<PlainCodes256<1>, DotUpTo>(args);
    case 2: return fill_columns<PlainCodes256<2>, DotUpTo>(args);
    case 3: return fill_columns<PlainCodes256<3>, DotUpTo>(args);
    case 4:
      if (!looked_up) return fill_columns<PlainCodes256<4>, DotUpTo>(args);
      return at.middle_shift < 5 ? fill_columns<Levels16<31>, DotUpTo>(args)
                                 : fill_columns<Levels16<255>, DotUpTo>(args);
    case 5: return fill_columns<PlainCodes256<5>, DotUpTo>(args);
    case 6: return looked_up ? fill_columns<Levels64, DotUpTo>(args) : fill_columns<PlainCodes256<6>, DotUpTo>(args);
    case 7: return fill_columns<PlainCodes256<7>, DotUpTo>(args);
    default: return fill_columns<PlainCodes256<8>, DotUpTo>(args);
  }
}

}  // namespace

}  // namespace qb
