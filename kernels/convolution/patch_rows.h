// A convolution of int8 codes as a matrix product: the image as pixels, and the rows of the product copied from it, a
// tile at a time.
//
// An image holds `channels` codes per pixel, pixel after pixel, row after row; a pixel of the padding holds the code of
// real zero. The window of one result is then a few runs of neighbouring bytes: one per kernel row, or one per pixel
// where columns are dilated. Rows of the product have their elements in the order height, width, channel.
#pragma once
#include <cstdint>

namespace qb {

/// Rows of one result row of an image. Data only: this header is compiled under every instruction-set flag.
struct GatherRunsArgs {
  const std::int8_t* from;         ///< first byte of the first window; 64 bytes behind the image may be read
  std::int64_t from_step;          ///< bytes from window to window
  std::int64_t count;              ///< windows, hence rows
  const std::int64_t* run_offset;  ///< [runs] bytes from the window's first
  std::int64_t runs, run_bytes;
  std::int8_t* to;  ///< row i at to + i * to_stride
  std::int64_t
      to_stride;     ///< at least runs * run_bytes rounded up to 64, plus 16; what lies between rows is overwritten
  std::int8_t zero;  ///< fills rows from runs * run_bytes to the next multiple of 64
};
using GatherRunsFn = void (*)(const GatherRunsArgs&);
void gather_runs_portable(const GatherRunsArgs& args);
void gather_runs_avx512(const GatherRunsArgs& args);

/// Writes `channels` (1 to 16) planes of `count` codes as pixels: to[i * pixel_stride + c] = planes[c * plane_stride +
/// i]. Up to 15 codes behind each plane are read.
void interleave_planes(const std::int8_t* planes, std::int64_t plane_stride, std::int64_t channels, std::int64_t count,
                       std::int8_t* to, std::int64_t pixel_stride);

}  // namespace qb
