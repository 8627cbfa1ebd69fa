// Tiles of 8 rows and 32 columns whose counts stay in registers.
#include <immintrin.h>

#include "kernels/gemm_binary_binary/sign_tiles.h"

namespace qb {

namespace {

constexpr std::int64_t kAhead = 8192;  // bytes of the stream to fetch ahead where few rows pass over it

/// count += bits in which x and y differ. Assembly, for gcc 12 moves the counts of a full tile to the stack.
QB_INLINE void add_differing(__m512i& count, __m512i x, __m512i y) {
  __m512i bits;
  __asm__("vpxord %2, %3, %1\n\tvpopcntd %1, %1\n\tvpaddd %1, %0, %0" : "+v"(count), "=&v"(bits) : "v"(x), "v"(y));
}

/// 32 bits along k of 16 columns at a time.
struct Popcounts {
  static constexpr int kColumns = 16, kVectors = 2, kRows = 8;

  template <int kRows, int kVectors>
  static QB_INLINE void add_group(SignTile<kRows, kVectors, kColumns>& tile, std::int64_t begin, std::int64_t end,
                                  std::int64_t length) {
    __m512i count[kRows][kVectors];
    QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] =
        _mm512_setzero_si512();
    for (std::int64_t b = begin; b < end; b += 4, tile.stream += 64 * kVectors) {
      __m512i codes[kVectors];
      QB_UNROLL for (int v = 0; v < kVectors; ++v) {
        if constexpr (kRows < 4)
          _mm_prefetch(reinterpret_cast<const char*>(tile.stream + 64 * v + kAhead), _MM_HINT_T0);
        codes[v] = _mm512_load_si512(tile.stream + 64 * v);
      }
      QB_UNROLL for (int r = 0; r < kRows; ++r) {
        std::int32_t word;
        __builtin_memcpy(&word, tile.a + r * tile.a_stride + b, sizeof word);
        QB_UNROLL for (int v = 0; v < kVectors; ++v) add_differing(count[r][v], codes[v], _mm512_set1_epi32(word));
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

  static QB_INLINE void store(float* y, const float* sum, float a_scale, std::int64_t columns) {
    const __mmask16 mask = columns >= 16 ? __mmask16(0xffff) : __mmask16((1u << columns) - 1u);
    _mm512_mask_storeu_ps(y, mask, _mm512_mul_ps(_mm512_set1_ps(a_scale), _mm512_load_ps(sum)));
  }
};

}  // namespace

void gemm_binary_binary_avx512vpopcnt(const GemmArgs& args) { fill_columns<Popcounts>(args); }

}  // namespace qb
