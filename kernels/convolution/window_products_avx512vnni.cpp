#include <immintrin.h>

#include "kernels/convolution/window_products.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 64;

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then keeps sums on the stack.
QB_INLINE void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

/// Likewise with the same four signed bytes for every sum.
QB_INLINE void dot_four(__m512i& sum, __m512i unsigned_bytes, const std::int8_t* four) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0"
          : "+v"(sum)
          : "v"(unsigned_bytes), "m"(*reinterpret_cast<const std::int32_t*>(four)));
}

/// One panel of weights.
struct Panel {
  const std::uint8_t* codes;  ///< [k / 4][kVectors][16][4]
  const std::int32_t *zero, *code_sum;
  std::int64_t column;
  __mmask16 last;                   ///< columns of the last vector that exist
  alignas(64) float scale[kPanel];  ///< of activations and weights
};

/// A row of the result against one panel.
struct Row {
  std::int64_t row;
  std::int64_t ky_begin = 0, ky_end = 0;            ///< rows of the kernel that are not all padding
  alignas(64) std::int32_t of_a_zero[kPanel] = {};  ///< a_zero times the codes' sums over those
};

/// Results next to one another in a row, and what of their windows is padding.
struct Tile {
  std::int64_t column;                                ///< of the result
  std::uint32_t first_outside = 0, last_outside = 0;  ///< a bit per kx: left out for the first or last result
};

/// The products of one kernel position for results [kFirst, kEnd) of kRows. The last vector of weights is multiplied
/// before the others, by bytes that are broadcast from memory, so that 28 sums find place.
template <int kRows, int kVectors, int kFirst, int kEnd>
QB_INLINE void multiply(__m512i (&sum)[kRows][kVectors], const std::int8_t* pixel, std::int64_t step,
                        std::int64_t channels, const std::uint8_t* codes) {
  constexpr int kOthers = kVectors - 1;
  for (std::int64_t t = 0; t < channels; t += 4, codes += 64 * kVectors) {
    const __m512i last = _mm512_load_si512(codes + 64 * kOthers);
    QB_UNROLL for (int r = kFirst; r < kEnd; ++r) dot_four(sum[r][kOthers], last, pixel + r * step + t);
    __m512i column[kOthers + 1];
    QB_UNROLL for (int v = 0; v < kOthers; ++v) column[v] = _mm512_load_si512(codes + 64 * v);
    QB_UNROLL for (int r = kFirst; kOthers > 0 && r < kEnd; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, pixel + r * step + t, 4);
      const __m512i row = _mm512_set1_epi32(four);
      QB_UNROLL for (int v = 0; v < kOthers; ++v) dot(sum[r][v], column[v], row);
    }
  }
}

/// of_a_zero[j] -= a_zero times the codes' sums of the kernel positions in rows [ky_begin, ky_end) whose column has its
/// bit in `kx`.
template <int kVectors>
void leave_out(const WindowProductsArgs& args, const Panel& panel, std::int64_t ky_begin, std::int64_t ky_end,
               std::uint32_t kx, std::int32_t* of_a_zero) {
  const __m512i a_zero = _mm512_set1_epi32(args.a_zero);
  for (std::int64_t p = ky_begin * args.kernel[1]; p < ky_end * args.kernel[1]; ++p) {
    const std::int64_t column = p % args.kernel[1];
    if (column < 32 && !(kx >> column & 1u)) continue;
    const std::int32_t* position = args.position_sum + p * args.sum_stride + panel.column;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const __m512i less = _mm512_mullo_epi32(a_zero, _mm512_loadu_si512(position + 16 * v));
      _mm512_store_si512(of_a_zero + 16 * v, _mm512_sub_epi32(_mm512_load_si512(of_a_zero + 16 * v), less));
    }
  }
}

/// Scales the exact sums of one result and stores them.
template <int kVectors>
QB_INLINE void finish_result(const WindowProductsArgs& args, const Panel& panel, std::int64_t at,
                             const std::int32_t* of_a_zero, const __m512i* sum) {
  const __m512i a_sum = _mm512_set1_epi32(args.window_sum[at]);
  float* y = args.y + at * args.y_stride + panel.column - args.n_begin;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const __m512i of_zero = _mm512_mullo_epi32(a_sum, _mm512_load_si512(panel.zero + 16 * v));
    const __m512i exact = _mm512_sub_epi32(_mm512_sub_epi32(sum[v], _mm512_load_si512(of_a_zero + 16 * v)), of_zero);
    const __mmask16 mask = v + 1 < kVectors ? __mmask16(0xffff) : panel.last;
    _mm512_mask_storeu_ps(y + 16 * v, mask,
                          _mm512_mul_ps(_mm512_cvtepi32_ps(exact), _mm512_load_ps(panel.scale + 16 * v)));
  }
}

template <int kRows, int kVectors>
QB_INLINE void finish_tile(const WindowProductsArgs& args, const Panel& panel, const Row& row, const Tile& tile,
                           const __m512i (&sum)[kRows][kVectors]) {
  const std::int64_t at = (row.row - args.row_begin) * args.row_length + tile.column;
  QB_UNROLL for (int r = 0; r < kRows; ++r) {
    const std::uint32_t outside = (r == 0 ? tile.first_outside : 0) | (r == kRows - 1 ? tile.last_outside : 0);
    if (outside == 0) {
      finish_result<kVectors>(args, panel, at + r, row.of_a_zero, sum[r]);
      continue;
    }
    alignas(64) std::int32_t own[16 * kVectors];
    __builtin_memcpy(own, row.of_a_zero, sizeof own);
    leave_out<kVectors>(args, panel, row.ky_begin, row.ky_end, outside, own);
    finish_result<kVectors>(args, panel, at + r, own, sum[r]);
  }
}

/// A function of its own: beside the loops around it gcc 12 would keep sums on the stack.
template <int kRows, int kVectors>
__attribute__((noinline)) void fill_tile(const WindowProductsArgs& args, const Panel& panel, const Row& row,
                                         std::int64_t begin) {
  Tile tile{.column = begin};
  __m512i sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
      _mm512_setzero_si512();
  const std::int64_t channels = args.channels, step = args.stride[1] * channels,
                     position_bytes = channels * 16 * kVectors;
  for (std::int64_t ky = row.ky_begin; ky < row.ky_end; ++ky) {
    const std::int64_t y = row.row * args.stride[0] + ky * args.dilation[0];
    const std::uint8_t* codes = panel.codes + ky * args.kernel[1] * position_bytes;
    for (std::int64_t kx = 0; kx < args.kernel[1]; ++kx, codes += position_bytes) {
      const std::int64_t first = tile.column * args.stride[1] + kx * args.dilation[1],
                         last = first + (kRows - 1) * args.stride[1];
      const std::int8_t* pixel = args.image + (y * args.columns + first) * channels;
      if (kRows > 1 && kx < 32 && first < args.inside_begin[1]) {
        tile.first_outside |= 1u << kx;
        multiply<kRows, kVectors, kRows == 1 ? 0 : 1, kRows>(sum, pixel, step, channels, codes);
      } else if (kRows > 1 && kx < 32 && last >= args.inside_end[1]) {
        tile.last_outside |= 1u << kx;
        multiply<kRows, kVectors, 0, kRows == 1 ? 1 : kRows - 1>(sum, pixel, step, channels, codes);
      } else {
        multiply<kRows, kVectors, 0, kRows>(sum, pixel, step, channels, codes);
      }
    }
  }
  finish_tile<kRows, kVectors>(args, panel, row, tile, sum);
}

/// The tile with `results`, at most kRows.
template <int kRows, int kVectors>
void fill_some(const WindowProductsArgs& args, const Panel& panel, const Row& row, std::int64_t column,
               std::int64_t results) {
  if (results == kRows) return fill_tile<kRows, kVectors>(args, panel, row, column);
  if constexpr (kRows > 1) fill_some<kRows - 1, kVectors>(args, panel, row, column, results);
}

template <int kVectors>
void begin_row(const WindowProductsArgs& args, const Panel& panel, Row& row) {
  const std::int64_t first = row.row * args.stride[0];
  row.ky_begin = 0;
  row.ky_end = args.kernel[0];
  while (row.ky_begin < row.ky_end && first + row.ky_begin * args.dilation[0] < args.inside_begin[0]) ++row.ky_begin;
  while (row.ky_begin < row.ky_end && first + (row.ky_end - 1) * args.dilation[0] >= args.inside_end[0]) --row.ky_end;
  const __m512i a_zero = _mm512_set1_epi32(args.a_zero);
  QB_UNROLL for (int v = 0; v < kVectors; ++v) _mm512_store_si512(
      row.of_a_zero + 16 * v, _mm512_mullo_epi32(a_zero, _mm512_load_si512(panel.code_sum + 16 * v)));
  constexpr std::uint32_t kAll = ~std::uint32_t{0};
  leave_out<kVectors>(args, panel, 0, row.ky_begin, kAll, row.of_a_zero);
  leave_out<kVectors>(args, panel, row.ky_end, args.kernel[0], kAll, row.of_a_zero);
}

/// Rows of the result in tiles of nearly equal length.
template <int kRows, int kVectors>
void fill_panel(const WindowProductsArgs& args, Panel& panel, const float* scale) {
  const std::int64_t rest = args.n_end - panel.column - 16 * (kVectors - 1);
  panel.last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  const __m512 a_scale = _mm512_set1_ps(args.a_scale);
  QB_UNROLL for (int v = 0; v < kVectors; ++v)
      _mm512_store_ps(panel.scale + 16 * v, _mm512_mul_ps(a_scale, _mm512_load_ps(scale + 16 * v)));
  const std::int64_t tiles = (args.row_length + kRows - 1) / kRows;
  Row row;
  for (row.row = args.row_begin; row.row < args.row_end; ++row.row) {
    begin_row<kVectors>(args, panel, row);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t column = args.row_length * t / tiles;
      fill_some<kRows, kVectors>(args, panel, row, column, args.row_length * (t + 1) / tiles - column);
    }
  }
}

/// The sums of four lanes each of four vectors: lane 4 * l + i is the sum of lanes 4 * l to 4 * l + 3 of vector i.
QB_INLINE __m512i sum_quads(const __m512i* of) {
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(of[0], of[1]), _mm512_unpackhi_epi32(of[0], of[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(of[2], of[3]), _mm512_unpackhi_epi32(of[2], of[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/// The sums of the lanes of sixteen vectors, in order.
QB_INLINE __m512i sum_lanes(const __m512i* of) {
  const __m512i a = sum_quads(of), b = sum_quads(of + 4), c = sum_quads(of + 8), d = sum_quads(of + 12);
  const __m512i ab = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
  const __m512i cd = _mm512_add_epi32(_mm512_shuffle_i32x4(c, d, 0x88), _mm512_shuffle_i32x4(c, d, 0xdd));
  return _mm512_add_epi32(_mm512_shuffle_i32x4(ab, cd, 0x88), _mm512_shuffle_i32x4(ab, cd, 0xdd));
}

}  // namespace

void window_products_avx512vnni(const WindowProductsArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  const std::int64_t k = args.kernel[0] * args.kernel[1] * args.channels;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    Panel panel;
    panel.codes = base + at->codes + column * k;
    const auto* scale = reinterpret_cast<const float*>(base + at->scale) + column;
    panel.zero = reinterpret_cast<const std::int32_t*>(base + at->zero) + column;
    panel.code_sum = reinterpret_cast<const std::int32_t*>(base + at->code_sum) + column;
    panel.column = column;
    switch ((args.n_end - column + 15) / 16) {
      case 1: fill_panel<8, 1>(args, panel, scale); break;
      case 2: fill_panel<8, 2>(args, panel, scale); break;
      case 3: fill_panel<8, 3>(args, panel, scale); break;
      default: fill_panel<7, 4>(args, panel, scale); break;
    }
  }
}

void pixel_sums_avx512vnni(const std::int8_t* pixels, std::int64_t count, std::int64_t channels, std::int32_t zero,
                           std::int32_t* sums) {
  const __m512i ones = _mm512_set1_epi8(1), all = _mm512_set1_epi32(std::int32_t(channels) * zero);
  const std::int64_t whole = channels / 64 * 64;
  const __mmask64 rest = (__mmask64(1) << (channels - whole)) - 1;
  for (std::int64_t i = 0; i < count; i += 16) {
    const std::int64_t some = count - i < 16 ? count - i : 16;
    __m512i sum[16];
    QB_UNROLL for (int p = 0; p < 16; ++p) {
      sum[p] = _mm512_setzero_si512();
      if (p >= some) continue;
      const std::int8_t* pixel = pixels + (i + p) * channels;
      for (std::int64_t t = 0; t < whole; t += 64) dot(sum[p], ones, _mm512_loadu_si512(pixel + t));
      if (rest) dot(sum[p], ones, _mm512_maskz_loadu_epi8(rest, pixel + whole));
    }
    _mm512_mask_storeu_epi32(sums + i, __mmask16((1u << some) - 1u), _mm512_sub_epi32(sum_lanes(sum), all));
  }
}

}  // namespace qb
