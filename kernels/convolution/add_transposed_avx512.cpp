#include <immintrin.h>

#include "kernels/convolution/add_transposed.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory

__mmask16 lanes_below(std::int64_t count) { return count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1u); }

/// Sixteen rows become sixteen columns.
__attribute__((always_inline)) inline void transpose(__m512* row) {
  __m512 pair[16], quad[16];
  QB_UNROLL for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_ps(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_ps(row[i], row[i + 1]);
  }
  // quad[4 * i + j]: columns j, j + 4, j + 8, j + 12 of rows 4 * i to 4 * i + 3, four lanes each.
  QB_UNROLL for (int i = 0; i < 16; i += 4) {
    QB_UNROLL for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(pair[i + j]), b = _mm512_castps_pd(pair[i + j + 2]);
      quad[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      quad[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  QB_UNROLL for (int j = 0; j < 4; ++j) {
    const __m512 even_low = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(quad[j], quad[4 + j], 0xdd);
    const __m512 even_high = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(quad[8 + j], quad[12 + j], 0xdd);
    row[j] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    row[4 + j] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    row[8 + j] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
    row[12 + j] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
  }
}

}  // namespace

/// Sixteen columns at a time, from the first row to the last: not more planes are written at once than prefetchers
/// follow.
void add_transposed_avx512(const AddTransposedArgs& args) {
  for (std::int64_t j = 0; j < args.columns; j += 16) {
    const std::int64_t columns = args.columns - j < 16 ? args.columns - j : 16;
    const __mmask16 read = lanes_below(columns);
    for (std::int64_t i = 0; i < args.rows; i += 16) {
      const std::int64_t rows = args.rows - i < 16 ? args.rows - i : 16;
      const __mmask16 written = lanes_below(rows);
      const float* from = args.from + i * args.from_stride + j;
      __m512 row[16];
      QB_UNROLL for (int r = 0; r < 16; ++r) row[r] =
          r < rows ? _mm512_maskz_loadu_ps(read, from + r * args.from_stride) : _mm512_setzero_ps();
      transpose(row);
      float* to = args.to + j * args.to_stride + i;
      QB_UNROLL for (int c = 0; c < 16; ++c) {
        if (c >= columns) continue;
        const __m512 shift = _mm512_set1_ps(args.bias ? args.bias[j + c] : 0.0f);
        _mm512_mask_storeu_ps(to + c * args.to_stride, written, _mm512_add_ps(row[c], shift));
      }
    }
  }
}

}  // namespace qb
