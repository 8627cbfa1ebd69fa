// Round to nearest. Source: Jacob et al. 2018 (arXiv:1712.05877); ranges and grids: weight_grid.h.
#include <algorithm>

#include "quantizers/methods.h"
#include "quantizers/weight_grid.h"

namespace qb {

PackedMatrix quantize_rtn(const LayerProblem& layer, const QuantSpec& spec) {
  const WeightGrid wanted = weight_grid(spec);
  const auto fill = [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    const Grid grid = fit_grid(wanted, values);
    out.scales.push_back(grid.scale);
    if (!wanted.symmetric) out.zeros.push_back(stored_code(wanted, grid.zero));
    std::transform(values.begin(), values.end(), codes,
                   [&](float value) { return stored_code(wanted, code_of(grid, value)); });
  };
  return quantize_runs(layer, grid_format(wanted, spec), fill);
}

}  // namespace qb
