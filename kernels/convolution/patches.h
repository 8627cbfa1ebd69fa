// A convolution as a matrix product: its input as rows of patches.
#pragma once
#include <cstdint>

#include "kernels/convolution/window.h"

namespace qb {

/// Distance of rows of k floats: longer than k by at least 3, because rows are written in runs of four elements.
std::int64_t patch_stride(std::int64_t k);

/// Writes positions [begin, end) of one sample as rows of channels * window.area() elements in C, H, W order; `outside`
/// stands in the padding. `x` is the first of `channels` planes. Up to 3 elements after each row, and of `x` after its
/// end, are touched.
void copy_patches(const Window& window, std::int64_t channels, const float* x, std::int64_t begin, std::int64_t end,
                  float* rows, std::int64_t stride);
void copy_patches(const Window& window, std::int64_t channels, const std::int8_t* x, std::int64_t begin,
                  std::int64_t end, std::int8_t outside, std::int8_t* rows, std::int64_t stride);

}  // namespace qb
