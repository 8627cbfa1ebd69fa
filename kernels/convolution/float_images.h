// Samples as pixels of float32 or bf16, for products that read windows in place.
#pragma once
#include "kernels/convolution/convolution.h"

namespace qb {

/// How a sample lies as pixels for the windows of `shape`.
PixelImage plan_float_image(const ConvShape& shape, PixelKind pixels);

std::int64_t float_row_bytes(const ConvPlan& plan);  ///< what a thread needs to round a row of pixels

/// Fills workspaces.images with samples [first, first + count) of a run, rounded as the plan says:
/// [group][sample][image].
void make_float_images(const ConvRun& run, std::int64_t first, std::int64_t count, LayerWorkspaces& workspaces);

}  // namespace qb
