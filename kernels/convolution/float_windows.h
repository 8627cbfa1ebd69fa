// A convolution of float32 or bf16 pixels without rows of windows: the tile of the product reads the pixels where they
// lie, one position of the kernel after another.
//
// An image holds the channels of a pixel side by side, pixel after pixel, row after row; a pixel of the padding holds
// zeros. Weights are those of gemm_f32_f32 or gemm_bf16_bf16 in H, W, C order, as the variant of the same instruction
// set reads them.
#pragma once
#include <cstdint>

namespace qb {

/// Rows of the result of one group and sample against columns [n_begin, n_end). Data only: this header is compiled
/// under every instruction-set flag. Index 0 of a pair belongs to the height, 1 to the width.
struct FloatWindowsArgs {
  const void* image;      ///< [rows][columns][channels]
  std::int64_t channels;  ///< even for bf16
  std::int64_t columns;
  /// Pixels outside of these are zeros, which may be left out: nothing but zero is known to come of them.
  std::int64_t inside_begin[2], inside_end[2];
  std::int64_t kernel[2], stride[2], dilation[2];
  std::int64_t row_begin, row_end, row_length;  ///< of the result
  const void* w;                                ///< as GemmArgs::w of the family's variant
  std::int64_t n, n_begin, n_end;               ///< n_begin a multiple of the variant's column step
  float* y;  ///< row i * row_length + ox at that times y_stride, for result row row_begin + i; column n_begin at 0
  std::int64_t y_stride;
};
using FloatWindowsFn = void (*)(const FloatWindowsArgs&);

/// y as the family's reference defines it for the rows of windows, within its rounding_bound().
///
/// Numbers   each result is one chain in rising order of height, width, channel (of bf16 pairs as vdpbf16ps adds them),
///           whatever the ranges of rows and columns.
/// Threads   reentrant.
void f32_windows_avx2(const FloatWindowsArgs& args);
void f32_windows_avx512(const FloatWindowsArgs& args);
void f32_windows_neon(const FloatWindowsArgs& args);

/// Pixels of bf16.
void bf16_windows_avx512bf16(const FloatWindowsArgs& args);

/// Pixels of float32 that bf16 can hold.
void bf16_windows_avx2(const FloatWindowsArgs& args);
void bf16_windows_avx512(const FloatWindowsArgs& args);
void bf16_windows_neon(const FloatWindowsArgs& args);

}  // namespace qb
