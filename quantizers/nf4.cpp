// Sixteen fixed levels for weights that are normally distributed, scaled by the largest magnitude of each block.
// Sources: Dettmers et al. 2023, QLoRA (arXiv:2305.14314): NF4; Yoshida 2023 (arXiv:2306.06965): AF4, whose levels are
// meant for blocks of 64.
#include <algorithm>

#include "kernels/levels.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {

PackedMatrix quantize_nf4(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::levels);
  format.levels = spec.method == "af4" ? LevelSet::af4 : LevelSet::nf4;
  format.scale = scale_option(spec);
  const std::span<const float> levels = levels_of(format.levels);
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    const float scale = stored_scale(format.scale, absolute_maximum_ref(values.data(), std::ssize(values)));
    out.scales.push_back(scale);
    std::transform(values.begin(), values.end(), codes,
                   [&](float value) { return std::uint8_t(nearest_level(levels, value / scale)); });
  });
}

}  // namespace qb
