// Rows inside: the codes of a chunk are unpacked into registers once and meet every row of a block, whose sums wait in
// the first-level cache.
#include <immintrin.h>

#include "kernels/gemm_s8_q4/gemm_s8_q4.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 32;
constexpr int kBlock = 64;  // rows whose sums wait together: 16 KiB

#define QB_INLINE __attribute__((always_inline)) inline

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then moves sums to the stack.
QB_INLINE void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

QB_INLINE __m512i broadcast_four(const std::int8_t* bytes) {
  std::int32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return _mm512_set1_epi32(four);
}

/// A block of rows against one panel.
template <int kVectors>
struct Block {
  const GemmArgs* args;
  const S8Q4* at;
  const std::int8_t* a;  ///< the block's first row
  std::int64_t first_row, rows;
  const std::uint8_t* stream;                           ///< where the panel is read next
  const std::int32_t* zero;                             ///< [groups][kVectors][16] or null
  std::int64_t ahead;                                   ///< bytes of the stream to fetch ahead
  alignas(64) float sum[kBlock][kVectors][16];          ///< of the groups that are done
  alignas(64) std::int32_t part[kBlock][kVectors][16];  ///< of the chunks of the group at hand
};

/// The codes of one chunk in registers, four along k in each 32-bit lane.
template <int kVectors, int kQuads>
struct Chunk {
  __m512i codes[kVectors][kQuads];
};

template <int kVectors, int kQuads>
QB_INLINE void unpack(Block<kVectors>& block, Chunk<kVectors, kQuads>& chunk) {
  const __m512i low_half = _mm512_set1_epi8(0x0f);
  for (int v = 0; v < kVectors; ++v)
    for (int q = 0; q < kQuads / 2; ++q, block.stream += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(block.stream + block.ahead), _MM_HINT_T0);
      const __m512i line = _mm512_load_si512(block.stream);
      chunk.codes[v][q] = _mm512_and_si512(line, low_half);
      chunk.codes[v][q + kQuads / 2] = _mm512_and_si512(_mm512_srli_epi16(line, 4), low_half);
    }
}

/// What turns the dot of codes into the dot of values at the end of group g. Plain: no zeros of activations or weights.
template <int kVectors>
struct Correction {
  __m512 scale[kVectors];
  __m512i zero[kVectors];      ///< general only
  __m512i code_sum[kVectors];  ///< general only
  __m512i middle_shift;        ///< plain only
  std::int64_t g;
};

/// Exact sums of row r over the group become float32 and join the sums of the groups before.
template <int kVectors, bool kPlain>
QB_INLINE void finish_group(Block<kVectors>& block, std::int64_t r, const Correction<kVectors>& with,
                            const __m512i* dots) {
  const GemmArgs& args = *block.args;
  const std::int64_t i = block.first_row + r;
  const __m512i a_sum = _mm512_set1_epi32(args.a_group_sum[i * block.at->groups + with.g]);
  for (int v = 0; v < kVectors; ++v) {
    __m512i exact;
    if constexpr (kPlain) {
      exact = _mm512_sub_epi32(dots[v], _mm512_sllv_epi32(a_sum, with.middle_shift));
    } else {
      const __m512i a_zero = _mm512_set1_epi32(args.a_zero[i]);
      exact = _mm512_sub_epi32(dots[v], _mm512_mullo_epi32(a_sum, with.zero[v]));
      exact = _mm512_sub_epi32(exact, _mm512_mullo_epi32(a_zero, with.code_sum[v]));
    }
    float* sum = block.sum[r][v];
    _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), with.scale[v], _mm512_load_ps(sum)));
  }
}

/// One chunk, at k = t, against every row of the block.
template <int kVectors, int kQuads, bool kPlain, bool kFirst, bool kLast>
QB_INLINE void multiply_rows(Block<kVectors>& block, std::int64_t t, const Chunk<kVectors, kQuads>& chunk,
                             const Correction<kVectors>& with) {
  const std::int8_t* a = block.a + t;
  const std::int64_t stride = block.args->a_stride;
  for (std::int64_t r = 0; r < block.rows; ++r, a += stride) {
    __m512i low[kVectors], high[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      low[v] = kFirst ? _mm512_setzero_si512() : _mm512_load_si512(block.part[r][v]);
      high[v] = _mm512_setzero_si512();
    }
    for (int q = 0; q < kQuads / 2; ++q) {
      const __m512i early = broadcast_four(a + 4 * q), late = broadcast_four(a + 4 * (q + kQuads / 2));
      for (int v = 0; v < kVectors; ++v) {
        dot(low[v], chunk.codes[v][q], early);
        dot(high[v], chunk.codes[v][q + kQuads / 2], late);
      }
    }
    for (int v = 0; v < kVectors; ++v) low[v] = _mm512_add_epi32(low[v], high[v]);
    if constexpr (kLast)
      finish_group<kVectors, kPlain>(block, r, with, low);
    else
      for (int v = 0; v < kVectors; ++v) _mm512_store_si512(block.part[r][v], low[v]);
  }
}

template <int kVectors, int kQuads, bool kPlain>
void multiply_group(Block<kVectors>& block, std::int64_t g) {
  const std::int64_t begin = g * block.at->group, k = block.args->k;
  const std::int64_t end = begin + block.at->group < k ? begin + block.at->group : k;
  constexpr std::int64_t kDepth = 4 * kQuads;
  Chunk<kVectors, kQuads> chunk;
  Correction<kVectors> with;
  with.g = g;
  with.middle_shift = _mm512_set1_epi32(int(block.at->middle_shift));
  for (int v = 0; v < kVectors; ++v) with.code_sum[v] = _mm512_setzero_si512();
  for (std::int64_t t = begin; t < end; t += kDepth) {
    unpack(block, chunk);
    if constexpr (!kPlain)
      for (int v = 0; v < kVectors; ++v)
        for (int q = 0; q < kQuads; ++q) dot(with.code_sum[v], chunk.codes[v][q], _mm512_set1_epi8(1));
    const bool last = t + kDepth >= end;
    if (last)
      for (int v = 0; v < kVectors; ++v, block.stream += 64) {
        with.scale[v] = _mm512_load_ps(block.stream);
        if constexpr (!kPlain)
          with.zero[v] = block.zero ? _mm512_load_si512(block.zero + (g * kVectors + v) * 16)
                                    : _mm512_set1_epi32(1 << block.at->middle_shift);
      }
    if (t == begin && last)
      multiply_rows<kVectors, kQuads, kPlain, true, true>(block, t, chunk, with);
    else if (t == begin)
      multiply_rows<kVectors, kQuads, kPlain, true, false>(block, t, chunk, with);
    else if (last)
      multiply_rows<kVectors, kQuads, kPlain, false, true>(block, t, chunk, with);
    else
      multiply_rows<kVectors, kQuads, kPlain, false, false>(block, t, chunk, with);
  }
}

template <int kVectors, int kQuads, bool kPlain>
void fill_block(Block<kVectors>& block, std::int64_t column) {
  const GemmArgs& args = *block.args;
  for (std::int64_t r = 0; r < block.rows; ++r)
    for (int v = 0; v < kVectors; ++v) _mm512_store_ps(block.sum[r][v], _mm512_setzero_ps());
  for (std::int64_t g = 0; g < block.at->groups; ++g) multiply_group<kVectors, kQuads, kPlain>(block, g);
  const std::int64_t rest = args.n_end - column - 16 * (kVectors - 1);
  const __mmask16 last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const std::int64_t i = block.first_row + r;
    for (int v = 0; v < kVectors; ++v) {
      const __m512 y = _mm512_mul_ps(_mm512_set1_ps(args.a_scale[i]), _mm512_load_ps(block.sum[r][v]));
      _mm512_mask_storeu_ps(args.y + i * args.y_stride + column + 16 * v, v + 1 < kVectors ? __mmask16(0xffff) : last,
                            y);
    }
  }
}

template <int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column, const std::uint8_t* panel) {
  const auto* at = static_cast<const S8Q4*>(args.w);
  const auto* base = static_cast<const unsigned char*>(args.w);
  Block<kVectors> block;
  block.args = &args;
  block.at = at;
  block.zero = at->zero ? reinterpret_cast<const std::int32_t*>(base + at->zero) + column * at->groups : nullptr;
  for (block.first_row = 0; block.first_row < args.m; block.first_row += kBlock) {
    block.rows = args.m - block.first_row < kBlock ? args.m - block.first_row : kBlock;
    block.a = static_cast<const std::int8_t*>(args.a) + block.first_row * args.a_stride;
    block.stream = panel;
    block.ahead = block.rows == 1 ? 8192 : 2560;
    bool plain = at->zero == 0;
    for (std::int64_t r = 0; r < block.rows; ++r) plain = plain && args.a_zero[block.first_row + r] == 0;
    if (at->chunk == 32)
      plain ? fill_block<kVectors, 8, true>(block, column) : fill_block<kVectors, 8, false>(block, column);
    else
      plain ? fill_block<kVectors, 4, true>(block, column) : fill_block<kVectors, 4, false>(block, column);
  }
}

}  // namespace

void gemm_s8_q4_avx512vnni(const GemmArgs& args) {
  const auto* at = static_cast<const S8Q4*>(args.w);
  const std::int64_t chunks_per_row = (args.k + at->chunk - 1) / at->chunk;
  const std::int64_t bytes_per_column = chunks_per_row * at->chunk / 2 + at->groups * 4;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::uint8_t* panel = static_cast<const std::uint8_t*>(args.w) + at->codes + column * bytes_per_column;
    if (args.n_end - column <= 16)
      fill_panel<1>(args, column, panel);
    else
      fill_panel<2>(args, column, panel);
  }
}

}  // namespace qb
