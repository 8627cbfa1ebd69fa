#include <immintrin.h>

#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 64;

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then keeps the sums of a full tile
/// on the stack.
QB_INLINE void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

/// Where one panel's codes and parameters lie.
struct Panel {
  const std::uint8_t* codes;  ///< [k / 4][kVectors][16][4]
  const float* scale;
  const std::int32_t* zero;
  const std::int32_t* code_sum;
  std::int64_t column;
  __mmask16 last;  ///< columns of the last vector that exist
};

/// Scales the exact sums of row i and stores them.
template <int kVectors>
QB_INLINE void finish_row(const GemmArgs& args, const Panel& panel, std::int64_t i, const __m512i* sum) {
  const __m512i a_zero = _mm512_set1_epi32(args.a_zero[i]);
  const __m512i a_sum = _mm512_set1_epi32(args.a_group_sum[i]);
  const __m512 a_scale = _mm512_set1_ps(args.a_scale[i]);
  float* y = args.y + i * args.y_stride + panel.column;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m512i of_a_zero = _mm512_mullo_epi32(a_zero, _mm512_load_si512(panel.code_sum + 16 * v));
    const __m512i of_zero = _mm512_mullo_epi32(a_sum, _mm512_load_si512(panel.zero + 16 * v));
    const __m512i exact = _mm512_sub_epi32(_mm512_sub_epi32(sum[v], of_a_zero), of_zero);
    const __m512 scale = _mm512_mul_ps(a_scale, _mm512_load_ps(panel.scale + 16 * v));
    const __mmask16 mask = v + 1 < kVectors ? __mmask16(0xffff) : panel.last;
    _mm512_mask_storeu_ps(y + 16 * v, mask, _mm512_mul_ps(_mm512_cvtepi32_ps(exact), scale));
  }
}

template <int kRows, int kVectors>
void fill_tile(const GemmArgs& args, const Panel& panel, std::int64_t i) {
  const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
  __m512i sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
      _mm512_setzero_si512();
  const std::uint8_t* codes = panel.codes;
  for (std::int64_t t = 0; t < args.k; t += 4, codes += 64 * kVectors) {
    __m512i column[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = _mm512_load_si512(codes + 64 * v);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, a + r * args.a_stride + t, 4);
      const __m512i row = _mm512_set1_epi32(four);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) dot(sum[r][v], column[v], row);
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
  const std::int64_t rest = args.n_end - panel.column - 16 * (kVectors - 1);
  panel.last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  for (std::int64_t i = 0; i < args.m; i += kRows) fill_some_rows<kRows, kVectors>(args, panel, i);
}

}  // namespace

void gemm_s8_q8_avx512vnni(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  const std::int64_t padded_k = (args.k + 3) / 4 * 4;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    Panel panel;
    panel.codes = base + at->codes + column * padded_k;
    panel.scale = reinterpret_cast<const float*>(base + at->scale) + column;
    panel.zero = reinterpret_cast<const std::int32_t*>(base + at->zero) + column;
    panel.code_sum = reinterpret_cast<const std::int32_t*>(base + at->code_sum) + column;
    panel.column = column;
    switch ((args.n_end - column + 15) / 16) {
      case 1: fill_panel<12, 1>(args, panel); break;
      case 2: fill_panel<12, 2>(args, panel); break;
      case 3: fill_panel<8, 3>(args, panel); break;
      default: fill_panel<6, 4>(args, panel); break;
    }
  }
}

}  // namespace qb
