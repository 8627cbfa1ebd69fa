// A convolution as a matrix product: its input as rows of patches, its result from rows back to planes.
#pragma once
#include <cstdint>

#include "models/window.h"

namespace qb {

/// Distance of patch rows of k elements: longer than k by at least 3, because rows are written in runs of four floats.
std::int64_t patch_stride(std::int64_t k);

/// Writes positions [begin, end) of one sample as rows of channels * window.area() elements in C, H, W order; padding
/// is 0. `x` is the first of `channels` planes. Up to 3 elements after each row, and of `x` after its end, are touched.
void copy_patches(const Window& window, std::int64_t channels, const float* x, std::int64_t begin, std::int64_t end,
                  float* rows, std::int64_t stride);

/// to[j * to_stride + i] = from[i * from_stride + j] + (bias ? bias[j] : 0) for i < rows, j < columns.
void transpose_add(const float* from, std::int64_t from_stride, std::int64_t rows, std::int64_t columns,
                   const float* bias, float* to, std::int64_t to_stride);

}  // namespace qb
