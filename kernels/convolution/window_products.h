// A convolution of int8 codes without rows of windows: the tile of the product reads the pixels where they lie, one
// position of the kernel after another; for AVX-512 it leaves out what lies in the padding.
//
// Images are those of patch_rows.h, weights those of gemm_s8_q8 as the variant of the same instruction set reads them,
// in H, W, C order.
#pragma once
#include <cstdint>

namespace qb {

/// Rows of the result of one group and sample against columns [n_begin, n_end). Data only: this header is compiled
/// under every instruction-set flag. Index 0 of a pair belongs to the height, 1 to the width.
struct WindowProductsArgs {
  const std::int8_t* image;  ///< [rows][columns][channels], padding included; for avx2 of int16
  std::int64_t channels;     ///< a multiple of 4; of 2 for avx2 and neon
  std::int64_t columns;
  std::int64_t inside_begin[2], inside_end[2];  ///< pixels of the image that are not padding
  std::int64_t kernel[2], stride[2], dilation[2];
  std::int64_t row_begin, row_end, row_length;  ///< of the result
  const std::int32_t* window_sum;    ///< [row_end - row_begin, row_length] sum over the window of (code - a_zero)
  const std::int32_t* position_sum;  ///< [kernel positions][sum_stride] sum over the channels of the weights' codes;
                                     ///< avx512vnni only
  std::int64_t sum_stride;
  float a_scale;
  std::int32_t a_zero;
  const void* w;                ///< as GemmArgs::w of the family's variant
  std::int64_t n_begin, n_end;  ///< n_begin a multiple of the variant's column step
  float* y;  ///< row i * row_length + ox at that times y_stride, for result row row_begin + i; column n_begin at 0
  std::int64_t y_stride;
};
using WindowProductsFn = void (*)(const WindowProductsArgs&);

/// y as gemm_s8_q8_ref defines it for the rows of windows, bit for bit.
///
/// Numbers   with codes a and c, zeros a0 and c0, the sum over the window's pixels inside of (a - a0) * (c - c0) is
///           dot(a, c) - a0 * sum c - c0 * sum (a - a0), all three over the pixels that are multiplied, modulo 2^32.
/// Threads   reentrant.
void window_products_avx512vnni(const WindowProductsArgs& args);
void window_products_avx2(const WindowProductsArgs& args);
void window_products_avxvnni(const WindowProductsArgs& args);
void window_products_neon(const WindowProductsArgs& args);
void window_products_dotprod(const WindowProductsArgs& args);

/// sums[i] = sum over the channels of pixel i of (code - zero), for i < count; channels a multiple of 4 for AVX-512.
using PixelSumsFn = void (*)(const std::int8_t* pixels, std::int64_t count, std::int64_t channels, std::int32_t zero,
                             std::int32_t* sums);
void pixel_sums_portable(const std::int8_t* pixels, std::int64_t count, std::int64_t channels, std::int32_t zero,
                         std::int32_t* sums);
void pixel_sums_avx512vnni(const std::int8_t* pixels, std::int64_t count, std::int64_t channels, std::int32_t zero,
                           std::int32_t* sums);

}  // namespace qb
