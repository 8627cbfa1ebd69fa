// Sixteen fixed levels for weights that are normally distributed, scaled by the largest magnitude of each block.
// Sources: Dettmers et al. 2023, QLoRA (arXiv:2305.14314): NF4, and scales that are quantized themselves; Yoshida 2023
// (arXiv:2306.06965): AF4, whose levels are meant for blocks of 64.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/levels.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// The code of `value` under a scale of any sign: that of the nearest of levels * scale. Beyond the ends all is the
/// end.
std::uint8_t code_under(std::span<const float> levels, float value, float scale) {
  constexpr float kBeyond = 2.0f;  // both sets end at +-1
  const float level = scale == 0.0f ? 0.0f : std::clamp(value / scale, -kBeyond, kBeyond);
  return std::uint8_t(nearest_level(levels, level));
}

/// Replaces scales by what two levels of 8 bits hold of them: their mean over the matrix is taken off, and each block
/// of 256 is divided by its largest magnitude and rounded to the nearest dynamic level. A scale near zero may become
/// zero or negative.
void quantize_scales(UnpackedMatrix& matrix) {
  std::vector<float>& scales = matrix.scales;
  const auto middle = float(std::accumulate(scales.begin(), scales.end(), 0.0) / double(scales.size()));
  matrix.super_offsets = {middle};
  for (std::size_t begin = 0; begin < scales.size(); begin += std::size_t(kScaleBlock)) {
    const std::size_t end = std::min(scales.size(), begin + std::size_t(kScaleBlock));
    float unit = 0;
    for (std::size_t i = begin; i < end; ++i) unit = std::max(unit, std::abs(scales[i] - middle));
    while (!std::isfinite(unit + middle)) unit = std::nextafter(unit, 0.0f);
    matrix.super_scales.push_back(unit);
    for (std::size_t i = begin; i < end; ++i) {
      const float part = unit == 0.0f ? 0.0f : std::clamp((scales[i] - middle) / unit, -1.0f, 1.0f);
      scales[i] = dynamic_levels()[std::size_t(nearest_level(dynamic_levels(), part))] * unit + middle;
    }
  }
}

}  // namespace

PackedMatrix quantize_nf4(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::levels);
  format.levels = spec.method == "af4" ? LevelSet::af4 : LevelSet::nf4;
  const std::span<const float> levels = levels_of(format.levels);
  const ScaleType type = scale_option(spec);
  format.scale = type == ScaleType::dq8 ? ScaleType::f32 : type;
  const PackedMatrix once =
      quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
        const float scale = stored_scale(format.scale, absolute_maximum_ref(values.data(), std::ssize(values)));
        out.scales.push_back(scale);
        std::transform(values.begin(), values.end(), codes,
                       [&](float value) { return code_under(levels, value, scale); });
      });
  if (type != ScaleType::dq8) return once;
  UnpackedMatrix twice;
  twice.format = format;
  twice.format.scale = type;
  twice.n = once.n;
  twice.k = once.k;
  twice.scales = once.scales;
  quantize_scales(twice);
  for (std::int64_t row = 0; row < once.n; ++row)
    for (std::int64_t column = 0; column < once.k; ++column)
      twice.codes.push_back(code_under(levels, layer.weights.row(row)[column],
                                       twice.scales[std::size_t(once.parameter_index(row, column))]));
  return pack(twice);
}

}  // namespace qb
