// Signs times the mean magnitude, the least squared error that signs can have. Source: Rastegari et al. 2016, XNOR-Net
// (arXiv:1603.05279), section 3.1; the sign of zero is plus.
#include <algorithm>
#include <cmath>

#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {

PackedMatrix quantize_binary(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::levels);
  format.levels = LevelSet::binary;
  format.scale = scale_option(spec);
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    double sum = 0;
    for (const float value : values) sum += double(std::abs(value));
    out.scales.push_back(stored_scale(format.scale, float(sum / double(values.size()))));
    std::transform(values.begin(), values.end(), codes, [](float value) { return std::uint8_t(value >= 0 ? 1 : 0); });
  });
}

}  // namespace qb
