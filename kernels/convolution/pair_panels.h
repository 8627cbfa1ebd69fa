// Walks the panels of gemm_f32_w/weight_panels.h, which hold pairs of bf16, for float_window_tiles.h.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/convolution/float_window_tiles.h"
#include "kernels/gemm_f32_w/weight_panels.h"

namespace qb {

namespace {

/// Panels of four vectors, a tile of kTogether at a time in kRows rows, then panels of one vector in kRowsAlone.
template <class Step, int kRows, int kRowsAlone, int kTogether = 4>
void fill_pair_panels(const FloatWindowsArgs& args) {
  constexpr std::int64_t kLanes = Step::Vector::kLanes;
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  const unsigned char* stream = static_cast<const unsigned char*>(args.w) + w.stream;
  for (std::int64_t column = args.n_begin; column < args.n_end;) {
    WindowPanel panel{stream + column * w.column_bytes, 4 * kLanes, column, args.n_end - column};
    if (args.n - column < 4 * kLanes) {
      fill_window_panel<Step, kRowsAlone, 1>(args, panel);
      column += kLanes;
      continue;
    }
    panel.line_stride = 16 * kLanes;
    for (int v = 0; v < 4; v += kTogether, column += kTogether * kLanes) {
      fill_window_panel<Step, kRows, kTogether>(args, panel);
      panel.w += 4 * kLanes * kTogether;
      panel.column += kTogether * kLanes;
      panel.columns -= kTogether * kLanes;
    }
  }
}

}  // namespace

}  // namespace qb
