#include "quantizers/weight_grid.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/range_search.h"

namespace qb {
namespace {

double clip_of(const WeightGrid& wanted, std::span<const float> values) {
  if (wanted.range == RangeChoice::mse) return mse_clip(values, wanted.bits, wanted.norm);
  std::vector<float> magnitudes(values.begin(), values.end());
  for (float& value : magnitudes) value = std::abs(value);
  if (wanted.range == RangeChoice::minmax) return double(*std::max_element(magnitudes.begin(), magnitudes.end()));
  std::sort(magnitudes.begin(), magnitudes.end());
  return percentile(magnitudes, wanted.percent);
}

Range range_of(const WeightGrid& wanted, std::span<const float> values) {
  if (wanted.range == RangeChoice::mse) return mse_range(values, wanted.bits, wanted.norm);
  if (wanted.range == RangeChoice::minmax) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return {double(*low), double(*high)};
  }
  std::vector<float> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double outside = (100 - wanted.percent) / 2;
  return {percentile(sorted, outside), percentile(sorted, 100 - outside)};
}

}  // namespace

WeightGrid weight_grid(const QuantSpec& spec) {
  const std::string_view range = option_of(spec, "range");
  WeightGrid wanted;
  wanted.bits = spec.weight_bits;
  wanted.symmetric = option_of(spec, "grid") == "sym";
  wanted.range = range == "mse"          ? RangeChoice::mse
                 : range == "percentile" ? RangeChoice::percentile
                                         : RangeChoice::minmax;
  wanted.percent = number_of(spec, "percentile");
  wanted.norm = number_of(spec, "norm");
  wanted.scale = scale_option(spec);
  return wanted;
}

Grid fit_grid(const WeightGrid& wanted, std::span<const float> values) {
  Grid grid = wanted.symmetric ? symmetric_grid(clip_of(wanted, values), wanted.bits)
                               : asymmetric_grid(range_of(wanted, values), wanted.bits);
  if (wanted.scale != ScaleType::f32) grid.scale = stored_scale(wanted.scale, grid.scale);
  return grid;
}

std::uint8_t stored_code(const WeightGrid& wanted, std::int32_t code) {
  return std::uint8_t(code + (1 << (wanted.bits - 1)));
}

QuantFormat grid_format(const WeightGrid& wanted, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::integer);
  format.zeros = !wanted.symmetric;
  format.scale = wanted.scale;
  return format;
}

}  // namespace qb
