// Tiles of 8 rows and 32 columns whose counts stay in registers; sums of groups wait in the first-level cache.
#include <immintrin.h>

#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 32;
constexpr std::int64_t kAhead = 8192;  // bytes of the stream to fetch ahead where few rows pass over it

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// count += bits in which x and y differ. Assembly, for gcc 12 moves the counts of a full tile to the stack.
QB_INLINE void add_differing(__m512i& count, __m512i x, __m512i y) {
  __m512i bits;
  __asm__("vpxord %2, %3, %1\n\tvpopcntd %1, %1\n\tvpaddd %1, %0, %0" : "+v"(count), "=&v"(bits) : "v"(x), "v"(y));
}

template <int kRows, int kVectors>
struct Tile {
  const std::uint32_t* a;  ///< the tile's first row
  std::int64_t a_stride;   ///< words of 32 bits
  const std::uint8_t* stream;
  alignas(64) float sum[kRows][kVectors][16];  ///< of the groups that are done
};

/// One group: words [begin, end) of the rows, `length` weights. The stream stands behind its scales afterwards.
template <int kRows, int kVectors>
QB_INLINE void add_group(Tile<kRows, kVectors>& tile, std::int64_t begin, std::int64_t end, std::int64_t length) {
  __m512i count[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] =
      _mm512_setzero_si512();
  for (std::int64_t w = begin; w < end; ++w, tile.stream += 64 * kVectors) {
    __m512i codes[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      if constexpr (kRows < 4) _mm_prefetch(reinterpret_cast<const char*>(tile.stream + 64 * v + kAhead), _MM_HINT_T0);
      codes[v] = _mm512_load_si512(tile.stream + 64 * v);
    }
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      const __m512i word = _mm512_set1_epi32(int(tile.a[r * tile.a_stride + w]));
      QB_UNROLL for (int v = 0; v < kVectors; ++v) add_differing(count[r][v], codes[v], word);
    }
  }
  const __m512i all = _mm512_set1_epi32(int(length));
  QB_UNROLL for (int v = 0; v < kVectors; ++v, tile.stream += 64) {
    const __m512 scale = _mm512_load_ps(tile.stream);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      const __m512i dot = _mm512_sub_epi32(all, _mm512_add_epi32(count[r][v], count[r][v]));
      float* sum = tile.sum[r][v];
      _mm512_store_ps(sum, _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, _mm512_load_ps(sum)));
    }
  }
}

template <int kRows, int kVectors>
void fill_tile(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  const auto* at = static_cast<const BinaryBinary*>(args.w);
  const std::int64_t words = (args.k + 63) / 64 * 2;
  Tile<kRows, kVectors> tile;
  tile.a_stride = 2 * args.a_stride;
  tile.a = static_cast<const std::uint32_t*>(args.a) + i * tile.a_stride;
  tile.stream = static_cast<const std::uint8_t*>(args.w) + at->codes + column * 4 * (words + at->groups);
  float* y = args.y + i * args.y_stride + column;
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    __builtin_prefetch(y + r * args.y_stride + 16 * v,
                       1);  // else the stores of one tile wait for memory during the next
    _mm512_store_ps(tile.sum[r][v], _mm512_setzero_ps());
  }
  for (std::int64_t begin = 0; begin < args.k; begin += at->group) {
    const std::int64_t length = args.k - begin < at->group ? args.k - begin : at->group, first = begin / 32;
    add_group(tile, first, first + (length + 63) / 64 * 2, length);
  }
  const std::int64_t rest = args.n_end - column - 16 * (kVectors - 1);
  const __mmask16 last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  QB_UNROLL for (int r = 0; r < kRows; ++r, y += args.y_stride) {
    const __m512 a_scale = _mm512_set1_ps(args.a_scale[i + r]);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const __mmask16 mask = v + 1 < kVectors ? __mmask16(0xffff) : last;
      _mm512_mask_storeu_ps(y + 16 * v, mask, _mm512_mul_ps(a_scale, _mm512_load_ps(tile.sum[r][v])));
    }
  }
}

/// The tile with as many rows as there are, at most kRows.
template <int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  if (args.m - i >= kRows) return fill_tile<kRows, kVectors>(args, column, i);
  if constexpr (kRows > 1) fill_some_rows<kRows - 1, kVectors>(args, column, i);
}

template <int kRows, int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column) {
  for (std::int64_t i = 0; i < args.m; i += kRows) fill_some_rows<kRows, kVectors>(args, column, i);
}

}  // namespace

void gemm_binary_binary_avx512vpopcnt(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    if (args.n_end - column > 16)
      fill_panel<8, 2>(args, column);
    else
      fill_panel<8, 1>(args, column);
  }
}

}  // namespace qb
