// Widens bytes to int16 and multiplies pairs with vpmaddwd: vpmaddubsw would saturate at two products of 255 and 127.
#include <immintrin.h>

#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 16;

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// sum += two products each of int16. Assembly, for gcc 12 shuffles the sums of a full tile between registers and
/// stack.
QB_INLINE void add_dot(__m256i& sum, __m256i a, __m256i b) {
  __m256i pairs;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(pairs) : "x"(a), "x"(b));
}

/// Where one panel's codes and parameters lie.
struct Panel {
  const std::uint8_t* codes;  ///< [k / 2][kVectors][8][2]
  const float* scale;
  const std::int32_t* zero;
  const std::int32_t* code_sum;
  std::int64_t column;
  __m256i last;  ///< columns of the last vector that exist
};

/// Scales the exact sums of row i and stores them.
template <int kVectors>
QB_INLINE void finish_row(const GemmArgs& args, const Panel& panel, std::int64_t i, const __m256i* sum) {
  const __m256i a_zero = _mm256_set1_epi32(args.a_zero[i]);
  const __m256i a_sum = _mm256_set1_epi32(args.a_group_sum[i]);
  const __m256 a_scale = _mm256_set1_ps(args.a_scale[i]);
  float* y = args.y + i * args.y_stride + panel.column;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const auto* code_sum = reinterpret_cast<const __m256i*>(panel.code_sum + 8 * v);
    const auto* zero = reinterpret_cast<const __m256i*>(panel.zero + 8 * v);
    const __m256i of_a_zero = _mm256_mullo_epi32(a_zero, _mm256_load_si256(code_sum));
    const __m256i of_zero = _mm256_mullo_epi32(a_sum, _mm256_load_si256(zero));
    const __m256i exact = _mm256_sub_epi32(_mm256_sub_epi32(sum[v], of_a_zero), of_zero);
    const __m256 scale = _mm256_mul_ps(a_scale, _mm256_load_ps(panel.scale + 8 * v));
    const __m256i mask = v + 1 < kVectors ? _mm256_set1_epi32(-1) : panel.last;
    _mm256_maskstore_ps(y + 8 * v, mask, _mm256_mul_ps(_mm256_cvtepi32_ps(exact), scale));
  }
}

constexpr std::int64_t kStrip = 256;  // activations of a row that are widened at a time

template <int kRows, int kVectors>
void fill_tile(const GemmArgs& args, const Panel& panel, std::int64_t i) {
  const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
  alignas(32) std::int16_t wide[kRows][kStrip];
  __m256i sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
      _mm256_setzero_si256();
  const std::uint8_t* codes = panel.codes;
  for (std::int64_t begin = 0; begin < args.k; begin += kStrip) {
    const std::int64_t length = args.k - begin < kStrip ? args.k - begin : kStrip;
    QB_UNROLL for (int r = 0; r < kRows; ++r) for (std::int64_t t = 0; t < length; t += 16) {
      const auto* narrow = reinterpret_cast<const __m128i*>(a + r * args.a_stride + begin + t);
      _mm256_store_si256(reinterpret_cast<__m256i*>(wide[r] + t), _mm256_cvtepi8_epi16(_mm_loadu_si128(narrow)));
    }
    for (std::int64_t t = 0; t < length; t += 2, codes += 16 * kVectors) {
      __m256i column[kVectors];
      QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] =
          _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(codes + 16 * v)));
      QB_UNROLL for (int r = 0; r < kRows; ++r) {
        std::int32_t two;
        __builtin_memcpy(&two, wide[r] + t, 4);
        const __m256i row = _mm256_set1_epi32(two);
        QB_UNROLL for (int v = 0; v < kVectors; ++v) add_dot(sum[r][v], column[v], row);
      }
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) finish_row<kVectors>(args, panel, i + r, sum[r]);
}

/// The tile with as many rows as there are, at most kRows.
template <int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, const Panel& panel, std::int64_t i) {
  if (args.m - i >= kRows) return fill_tile<kRows, kVectors>(args, panel, i);
  if constexpr (kRows > 1) fill_some_rows<kRows - 1, kVectors>(args, panel, i);
}

template <int kRows, int kVectors>
void fill_panel(const GemmArgs& args, Panel panel) {
  const auto rest = int(args.n_end - panel.column - 8 * (kVectors - 1));
  panel.last = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (std::int64_t i = 0; i < args.m; i += kRows) fill_some_rows<kRows, kVectors>(args, panel, i);
}

}  // namespace

void gemm_s8_q8_avx2(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  const std::int64_t padded_k = (args.k + 1) / 2 * 2;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    Panel panel;
    panel.codes = base + at->codes + column * padded_k;
    panel.scale = reinterpret_cast<const float*>(base + at->scale) + column;
    panel.zero = reinterpret_cast<const std::int32_t*>(base + at->zero) + column;
    panel.code_sum = reinterpret_cast<const std::int32_t*>(base + at->code_sum) + column;
    panel.column = column;
    if (args.n_end - column <= 8)
      fill_panel<6, 1>(args, panel);
    else
      fill_panel<6, 2>(args, panel);
  }
}

}  // namespace qb
