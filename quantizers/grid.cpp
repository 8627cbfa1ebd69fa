#include "quantizers/grid.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/error.h"

namespace qb {
namespace {

/// A step that can be divided by: 1 for an empty range, and never subnormal.
float step_of(float width, int steps) { return width > 0 ? std::max(width / float(steps), FLT_MIN) : 1.0f; }

/// The step, made smaller where `reach` of them would be more than a float can hold.
float within_floats(float step, float reach) {
  return std::isfinite(step * reach) ? step : std::nextafter(FLT_MAX / reach, 0.0f);
}

}  // namespace

Grid symmetric_grid(double clip, int bits) {
  QB_EXPECTS(bits >= 2 && bits <= 8 && clip >= 0 && clip <= double(FLT_MAX));
  const std::int32_t top = (1 << (bits - 1)) - 1;
  return {within_floats(step_of(float(clip), top), float(top)), 0, -top, top};
}

Grid asymmetric_grid(Range range, int bits) {
  QB_EXPECTS(bits >= 2 && bits <= 8 && range.low >= -double(FLT_MAX) && range.high <= double(FLT_MAX));
  const float low = float(std::min(range.low, 0.0)), high = float(std::max(range.high, 0.0));
  const std::int32_t bottom = -(1 << (bits - 1)), steps = (1 << bits) - 1;
  // A width beyond the largest float is halved first.
  const float scale = std::isfinite(high - low) ? step_of(high - low, steps) : 2 * step_of(high / 2 - low / 2, steps);
  const float below = std::clamp(std::nearbyint(-low / scale), 0.0f, float(steps));
  const float reach = std::max(below, float(steps) - below);
  return {within_floats(scale, reach), bottom + std::int32_t(below), bottom, bottom + steps};
}

std::int32_t code_of(const Grid& grid, float value) {
  // Both bounds are integers, hence clipping before rounding gives the same code and keeps the conversion defined.
  const float low = float(grid.low - grid.zero), high = float(grid.high - grid.zero);
  return std::int32_t(std::nearbyint(std::clamp(value / grid.scale, low, high))) + grid.zero;
}

float value_of(const Grid& grid, std::int32_t code) { return grid.scale * float(code - grid.zero); }

}  // namespace qb
