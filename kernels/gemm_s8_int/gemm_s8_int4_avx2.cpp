// Rows inside: the codes of a chunk are unpacked into registers once and meet every row of a block, whose sums wait in
// the first-level cache. Pairs of products stay below 15 * 128 * 2 = 3840, so that the eight of a chunk fit int16.
#include <immintrin.h>

#include "kernels/gemm_s8_q4/gemm_s8_q4.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 8;
constexpr int kBlock = 64;  // rows whose sums wait together: 4 KiB

#define QB_INLINE __attribute__((always_inline)) inline

QB_INLINE __m256i broadcast_four(const std::int8_t* bytes) {
  std::int32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return _mm256_set1_epi32(four);
}

/// A block of rows against one panel.
struct Block {
  const GemmArgs* args;
  const S8Q4* at;
  const std::int8_t* a;  ///< the block's first row
  std::int64_t first_row, rows;
  const std::uint8_t* stream;                ///< where the panel is read next
  const std::int32_t* zero;                  ///< [groups][8] or null
  alignas(32) float sum[kBlock][8];          ///< of the groups that are done
  alignas(32) std::int32_t part[kBlock][8];  ///< of the chunks of the group at hand
};

/// The codes of one chunk in registers, four along k in each 32-bit lane.
template <int kQuads>
struct Chunk {
  __m256i codes[kQuads];
};

template <int kQuads>
QB_INLINE void unpack(Block& block, Chunk<kQuads>& chunk) {
  const __m256i low_half = _mm256_set1_epi8(0x0f);
  for (int q = 0; q < kQuads / 2; ++q, block.stream += 32) {
    const __m256i line = _mm256_load_si256(reinterpret_cast<const __m256i*>(block.stream));
    chunk.codes[q] = _mm256_and_si256(line, low_half);
    chunk.codes[q + kQuads / 2] = _mm256_and_si256(_mm256_srli_epi16(line, 4), low_half);
  }
}

/// What turns the dot of codes into the dot of values at the end of group g. Plain: no zeros of activations or weights.
struct Correction {
  __m256 scale;
  __m256i zero, code_sum;  ///< general only
  __m128i middle_shift;    ///< plain only
  std::int64_t g;
};

/// Exact sums of row r over the group become float32 and join the sums of the groups before.
template <bool kPlain>
QB_INLINE void finish_group(Block& block, std::int64_t r, const Correction& with, __m256i dots) {
  const GemmArgs& args = *block.args;
  const std::int64_t i = block.first_row + r;
  const __m256i a_sum = _mm256_set1_epi32(args.a_group_sum[i * block.at->groups + with.g]);
  __m256i exact;
  if constexpr (kPlain) {
    exact = _mm256_sub_epi32(dots, _mm256_sll_epi32(a_sum, with.middle_shift));
  } else {
    exact = _mm256_sub_epi32(dots, _mm256_mullo_epi32(a_sum, with.zero));
    exact = _mm256_sub_epi32(exact, _mm256_mullo_epi32(_mm256_set1_epi32(args.a_zero[i]), with.code_sum));
  }
  float* sum = block.sum[r];
  _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), with.scale, _mm256_load_ps(sum)));
}

/// The dot of a chunk with one row: pairs in int16, then int32.
template <int kQuads>
QB_INLINE __m256i dot_chunk(const Chunk<kQuads>& chunk, const std::int8_t* a) {
  __m256i low = _mm256_maddubs_epi16(chunk.codes[0], broadcast_four(a));
  __m256i high = _mm256_maddubs_epi16(chunk.codes[1], broadcast_four(a + 4));
  for (int q = 2; q < kQuads; q += 2) {
    low = _mm256_add_epi16(low, _mm256_maddubs_epi16(chunk.codes[q], broadcast_four(a + 4 * q)));
    high = _mm256_add_epi16(high, _mm256_maddubs_epi16(chunk.codes[q + 1], broadcast_four(a + 4 * q + 4)));
  }
  return _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1));
}

/// One chunk, at k = t, against every row of the block.
template <int kQuads, bool kPlain, bool kFirst, bool kLast>
QB_INLINE void multiply_rows(Block& block, std::int64_t t, const Chunk<kQuads>& chunk, const Correction& with) {
  const std::int8_t* a = block.a + t;
  const std::int64_t stride = block.args->a_stride;
  for (std::int64_t r = 0; r < block.rows; ++r, a += stride) {
    auto* part = reinterpret_cast<__m256i*>(block.part[r]);
    __m256i dots = dot_chunk(chunk, a);
    if constexpr (!kFirst) dots = _mm256_add_epi32(dots, _mm256_load_si256(part));
    if constexpr (kLast)
      finish_group<kPlain>(block, r, with, dots);
    else
      _mm256_store_si256(part, dots);
  }
}

template <int kQuads, bool kPlain>
void multiply_group(Block& block, std::int64_t g) {
  const std::int64_t begin = g * block.at->group, k = block.args->k;
  const std::int64_t end = begin + block.at->group < k ? begin + block.at->group : k;
  constexpr std::int64_t kDepth = 4 * kQuads;
  alignas(4) std::int8_t ones[kDepth];
  __builtin_memset(ones, 1, sizeof ones);
  Chunk<kQuads> chunk;
  Correction with;
  with.g = g;
  with.middle_shift = _mm_cvtsi32_si128(int(block.at->middle_shift));
  with.code_sum = _mm256_setzero_si256();
  for (std::int64_t t = begin; t < end; t += kDepth) {
    unpack(block, chunk);
    if constexpr (!kPlain) with.code_sum = _mm256_add_epi32(with.code_sum, dot_chunk(chunk, ones));
    const bool last = t + kDepth >= end;
    if (last) {
      with.scale = _mm256_load_ps(reinterpret_cast<const float*>(block.stream));
      with.zero = block.zero ? _mm256_load_si256(reinterpret_cast<const __m256i*>(block.zero + g * 8))
                             : _mm256_set1_epi32(1 << block.at->middle_shift);
      block.stream += 32;
    }
    if (t == begin && last)
      multiply_rows<kQuads, kPlain, true, true>(block, t, chunk, with);
    else if (t == begin)
      multiply_rows<kQuads, kPlain, true, false>(block, t, chunk, with);
    else if (last)
      multiply_rows<kQuads, kPlain, false, true>(block, t, chunk, with);
    else
      multiply_rows<kQuads, kPlain, false, false>(block, t, chunk, with);
  }
}

template <int kQuads, bool kPlain>
void fill_block(Block& block, std::int64_t column) {
  const GemmArgs& args = *block.args;
  for (std::int64_t r = 0; r < block.rows; ++r) _mm256_store_ps(block.sum[r], _mm256_setzero_ps());
  for (std::int64_t g = 0; g < block.at->groups; ++g) multiply_group<kQuads, kPlain>(block, g);
  const auto rest = int(args.n_end - column < 8 ? args.n_end - column : 8);
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const std::int64_t i = block.first_row + r;
    const __m256 y = _mm256_mul_ps(_mm256_set1_ps(args.a_scale[i]), _mm256_load_ps(block.sum[r]));
    _mm256_maskstore_ps(args.y + i * args.y_stride + column, mask, y);
  }
}

}  // namespace

void gemm_s8_q4_avx2(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  Block block;
  block.args = &args;
  block.at = static_cast<const S8Q4*>(args.w);
  const std::int64_t chunks_per_row = (args.k + block.at->chunk - 1) / block.at->chunk;
  const std::int64_t bytes_per_column = chunks_per_row * block.at->chunk / 2 + block.at->groups * 4;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    block.zero = nullptr;
    if (block.at->zero)
      block.zero = reinterpret_cast<const std::int32_t*>(base + block.at->zero) + column * block.at->groups;
    for (block.first_row = 0; block.first_row < args.m; block.first_row += kBlock) {
      block.rows = args.m - block.first_row < kBlock ? args.m - block.first_row : kBlock;
      block.a = static_cast<const std::int8_t*>(args.a) + block.first_row * args.a_stride;
      block.stream = base + block.at->codes + column * bytes_per_column;
      bool plain = block.at->zero == 0;
      for (std::int64_t r = 0; r < block.rows; ++r) plain = plain && args.a_zero[block.first_row + r] == 0;
      if (block.at->chunk == 32)
        plain ? fill_block<8, true>(block, column) : fill_block<8, false>(block, column);
      else
        plain ? fill_block<4, true>(block, column) : fill_block<4, false>(block, column);
    }
  }
}

}  // namespace qb
