#include "quantizers/grid.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/error.h"

namespace qb {
namespace {

/// A step that can be divided by: 1 for an empty range, and never subnormal.
float step_of(double width, int steps) {
  return width > 0 ? std::max(float(width / steps), FLT_MIN) : 1.0f;
}

}  // namespace

Grid symmetric_grid(double clip, int bits) {
  QB_EXPECTS(bits >= 2 && bits <= 8 && clip >= 0 && clip <= double(FLT_MAX));
  const std::int32_t top = (1 << (bits - 1)) - 1;
  return {step_of(clip, top), 0, -top, top};
}

Grid asymmetric_grid(Range range, int bits) {
  QB_EXPECTS(bits >= 2 && bits <= 8);
  const double low = std::min(range.low, 0.0), high = std::max(range.high, 0.0);
  QB_EXPECTS(low >= -double(FLT_MAX) && high <= double(FLT_MAX));
  const std::int32_t bottom = -(1 << (bits - 1)), steps = (1 << bits) - 1;
  const float scale = step_of(high - low, steps);
  const double below = std::clamp(std::nearbyint(-low / double(scale)), 0.0, double(steps));
  return {scale, bottom + std::int32_t(below), bottom, bottom + steps};
}

std::int32_t code_of(const Grid& grid, float value) {
  // Both bounds are integers, hence clipping before rounding gives the same code and keeps the conversion defined.
  const float low = float(grid.low - grid.zero), high = float(grid.high - grid.zero);
  return std::int32_t(std::nearbyint(std::clamp(value / grid.scale, low, high))) + grid.zero;
}

float value_of(const Grid& grid, std::int32_t code) { return grid.scale * float(code - grid.zero); }

}  // namespace qb
