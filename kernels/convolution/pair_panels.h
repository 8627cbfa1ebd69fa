// Walks the panels of gemm_f32_w/weight_panels.h, which hold pairs of bf16, for window_tiles.h.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/convolution/float_windows.h"
#include "kernels/convolution/window_tiles.h"
#include "kernels/gemm_f32_w/weight_panels.h"

namespace qb {

namespace {

/// Panels of four of the layout's vectors, a tile of kTogether registers at a time in kRows rows, then panels of one
/// vector in kRowsAlone. A vector is kRegisters registers.
template <class Step, int kRows, int kRowsAlone, int kTogether = 4, int kRegisters = 1>
void fill_pair_panels(const FloatWindowsArgs& args) {
  constexpr std::int64_t kLanes = Step::kLanes, kWhole = 4 * kRegisters * kLanes;
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  for (std::int64_t column = args.n_begin; column < args.n_end;) {
    const bool whole = args.n - column >= kWhole;
    const std::int64_t width = whole ? kWhole : kRegisters * kLanes;
    const unsigned char* stream = static_cast<const unsigned char*>(args.w) + w.stream + column * w.column_bytes;
    for (std::int64_t j = 0; j < width && column + j < args.n_end;) {
      const WindowPanel panel{stream + 4 * j, 4 * width, column + j, args.n_end - column - j};
      if (whole)
        fill_window_panel<Step, kRows, kTogether>(args, panel);
      else
        fill_window_panel<Step, kRowsAlone, 1>(args, panel);
      j += (whole ? kTogether : 1) * kLanes;
    }
    column += width;
  }
}

}  // namespace

}  // namespace qb
