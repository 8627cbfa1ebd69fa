// Weights as 8-bit floats. Source: Micikevicius et al. 2022, FP8 Formats for Deep Learning (arXiv:2209.05433); codes by
// the OCP 8-bit floating point specification, rounded to nearest even, saturating.
#include <algorithm>

#include "kernels/base/small_floats.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {

PackedMatrix quantize_fp8(const LayerProblem& layer, const QuantSpec& spec) {
  const FloatFormat& element = spec.type == "e5m2" ? kE5M2 : kE4M3FN;
  QuantFormat format = weight_format(spec, CodeKind::levels);
  format.levels = spec.type == "e5m2" ? LevelSet::e5m2 : LevelSet::e4m3;
  format.bits = bits_of(format.levels);
  format.scale = scale_option(spec);
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    const float scale =
        stored_scale(format.scale, absolute_maximum_ref(values.data(), std::ssize(values)) / max_finite(element));
    out.scales.push_back(scale);
    std::transform(values.begin(), values.end(), codes, [&](float value) {
      return std::uint8_t(encode(element, double(value / scale), Overflow::sat_finite));
    });
  });
}

}  // namespace qb
