// Convolutions whose products read the pixels in place: codes (window_products.h) or floats (float_windows.h).
#pragma once
#include "kernels/convolution/convolution.h"

namespace qb {

/// Samples [first, first + count) of a run, whose images are made.
struct ImagesOfRun {
  std::int64_t first = 0, count = 0;
  bool to_pixels = false;  ///< results stay as the products give them
};

void reserve_in_place(const ConvPlan& plan, LayerWorkspaces& workspaces);
void run_in_place(const ConvRun& run, const ImagesOfRun& samples, LayerWorkspaces& workspaces);

}  // namespace qb
