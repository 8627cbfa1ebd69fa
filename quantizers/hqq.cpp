// Half-quadratic quantization: the zero point of each group moves so that a norm below 1 of the error shrinks. Source:
// Badri and Shaji 2023, Half-Quadratic Quantization of Large Machine Learning Models (mobiusml/hqq).
#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/small_floats.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// value = (code - zero) / inverse_scale, the zero point being any real number.
struct FloatZeroGrid {
  float inverse_scale = 1, zero = 0;
};

FloatZeroGrid min_max_grid(std::span<const float> values, float largest_code) {
  constexpr float kLeastRange = 1e-4f, kLargestInverse = 2e4f;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const float range = *high - *low;
  const float inverse = range > kLeastRange ? std::min(largest_code / range, kLargestInverse) : 1.0f;
  return {inverse, -*low * inverse};
}

float code_of(const FloatZeroGrid& grid, float value, float largest_code) {
  return std::clamp(std::nearbyint(value * grid.inverse_scale + grid.zero), 0.0f, largest_code);
}

double mean_error(std::span<const float> values, const FloatZeroGrid& grid, float largest_code) {
  double sum = 0;
  for (const float value : values)
    sum += double(std::abs(value - (code_of(grid, value, largest_code) - grid.zero) / grid.inverse_scale));
  return sum / double(values.size());
}

/// The zero point of the next step: the mean of what makes the shrunken error vanish.
float next_zero(std::span<const float> values, const FloatZeroGrid& grid, float largest_code, float norm, float beta) {
  double sum = 0;
  for (const float value : values) {
    const float code = code_of(grid, value, largest_code);
    const float error = value - (code - grid.zero) / grid.inverse_scale, size = std::abs(error);
    const float kept = size > 0 ? std::max(0.0f, size - std::pow(size, norm - 1) / beta) : 0.0f;
    sum += double(code - (value - std::copysign(kept, error)) * grid.inverse_scale);
  }
  return float(sum / double(values.size()));
}

void check_span(const LayerProblem& layer, std::span<const float> values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (double(*high) - double(*low) > FLT_MAX)
    throw DataError(
        fmt::format("layer '{}': weights from {} to {} span more than float32 holds", layer.node, *low, *high));
}

float stored_offset(ScaleType type, float offset) {
  constexpr float kLargestF16 = 65504.0f;
  return type == ScaleType::f16 ? f32_from_f16(f16_from_f32(std::clamp(offset, -kLargestF16, kLargestF16))) : offset;
}

/// The best grid that the iteration passes, by mean magnitude of the error; the min-max grid is the first.
FloatZeroGrid optimized_grid(std::span<const float> values, float largest_code, float norm, std::int64_t steps) {
  constexpr float kFirstBeta = 10, kGrowth = 1.01f;
  FloatZeroGrid grid = min_max_grid(values, largest_code), best = grid;
  double least = mean_error(values, grid, largest_code);
  float beta = kFirstBeta;
  for (std::int64_t step = 0; step < steps; ++step, beta *= kGrowth) {
    grid.zero = next_zero(values, grid, largest_code, norm, beta);
    const double error = mean_error(values, grid, largest_code);
    if (!(error < least)) break;
    least = error;
    best = grid;
  }
  return best;
}

}  // namespace

PackedMatrix quantize_hqq(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::integer);
  format.offsets = true;
  format.scale = scale_option(spec);
  const float largest_code = float((1 << spec.weight_bits) - 1), norm = float(number_of(spec, "norm"));
  const std::int64_t steps = integer_of(spec, "steps");
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    check_span(layer, values);
    const FloatZeroGrid grid = optimized_grid(values, largest_code, norm, steps);
    const float scale = stored_scale(format.scale, 1 / grid.inverse_scale);
    const float offset = stored_offset(format.scale, -grid.zero / grid.inverse_scale);
    out.scales.push_back(scale);
    out.offsets.push_back(offset);
    std::transform(values.begin(), values.end(), codes, [&](float value) {
      return std::uint8_t(std::clamp(std::nearbyint((value - offset) / scale), 0.0f, largest_code));
    });
  });
}

}  // namespace qb
