// Samples as int8 codes: quantized once, however many windows see a value.
#pragma once
#include "kernels/convolution/convolution.h"

namespace qb {

/// How a sample lies as pixels for the windows of `shape`.
PixelImage plan_code_image(const ConvShape& shape);

std::int64_t planes_bytes(const ConvShape& shape);  ///< codes of one group of one sample as planes
std::int64_t images_bytes(const ConvPlan& plan);    ///< all groups of one sample
std::int64_t block_bytes(const ConvShape& shape);   ///< what a thread needs to turn planes into pixels

/// Fills workspaces.images with the codes of samples [first, first + count) of a run: [group][sample][image], where an
/// image is pixels (code_pixels) or [channel][row][column] (code_planes).
void make_code_images(const ConvRun& run, std::int64_t first, std::int64_t count, LayerWorkspaces& workspaces);

/// Rows of the product for positions [begin, end) of one image, by instructions within `isa`.
void gather_windows(const ConvPlan& plan, const std::int8_t* image, std::int64_t begin, std::int64_t end,
                    std::int8_t zero, Isa isa, std::int8_t* rows, std::int64_t stride);

}  // namespace qb
