#include "quantizers/weight_grid.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "quantizers/clip_formulas.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/range_search.h"

namespace qb {
namespace {

double squared_error(std::span<const float> values, const Grid& grid) {
  double sum = 0;
  for (const float value : values) sum += std::pow(double(value) - double(value_of(grid, code_of(grid, value))), 2);
  return sum;
}

/// The ends that a formula gives, within those of the values.
Range formula_range(const WeightGrid& wanted, std::span<const float> values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const Range whole{std::min(double(*low), 0.0), std::max(double(*high), 0.0)};
  const bool one_sided = !wanted.symmetric && (whole.low == 0 || whole.high == 0);
  if (wanted.range == RangeChoice::aciq)
    return aciq_range(moments_of(values), whole, wanted.bits, one_sided, [&](Range range) {
      return squared_error(values, wanted.symmetric ? symmetric_grid(std::max(-range.low, range.high), wanted.bits)
                                                    : asymmetric_grid(range, wanted.bits));
    });
  const double clip = wanted.range == RangeChoice::octav ? octav_clip(values, wanted.bits, one_sided)
                                                         : entropy_clip(values, wanted.bits, /*penalty=*/1);
  return {std::max(whole.low, -clip), std::min(whole.high, clip)};
}

bool is_formula(RangeChoice range) {
  return range == RangeChoice::aciq || range == RangeChoice::octav || range == RangeChoice::entropy;
}

double clip_of(const WeightGrid& wanted, std::span<const float> values) {
  if (is_formula(wanted.range)) {
    const Range range = formula_range(wanted, values);
    return std::max(-range.low, range.high);
  }
  if (wanted.range == RangeChoice::mse) return mse_clip(values, wanted.bits, wanted.norm);
  std::vector<float> magnitudes(values.begin(), values.end());
  for (float& value : magnitudes) value = std::abs(value);
  if (wanted.range == RangeChoice::minmax) return double(*std::max_element(magnitudes.begin(), magnitudes.end()));
  std::sort(magnitudes.begin(), magnitudes.end());
  return percentile(magnitudes, wanted.percent);
}

Range range_of(const WeightGrid& wanted, std::span<const float> values) {
  if (is_formula(wanted.range)) return formula_range(wanted, values);
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
  WeightGrid wanted;
  wanted.bits = spec.weight_bits;
  wanted.symmetric = option_of(spec, "grid") == "sym";
  wanted.scale = scale_option(spec);
  if (!knows_option(spec, "range")) return wanted;
  static const std::map<std::string_view, RangeChoice> choices = {
      {"minmax", RangeChoice::minmax}, {"percentile", RangeChoice::percentile}, {"mse", RangeChoice::mse},
      {"aciq", RangeChoice::aciq},     {"octav", RangeChoice::octav},           {"entropy", RangeChoice::entropy}};
  wanted.range = choices.at(option_of(spec, "range"));
  wanted.percent = number_of(spec, "percentile");
  wanted.norm = number_of(spec, "norm");
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

UnpackedMatrix grid_matrix(const WeightGrid& wanted, const QuantSpec& spec, std::int64_t n, std::int64_t k) {
  UnpackedMatrix out;
  out.format = grid_format(wanted, spec);
  out.n = n;
  out.k = k;
  out.codes.resize(std::size_t(n * k));
  out.scales.resize(std::size_t(out.format.sharing == Sharing::tensor ? 1 : n * groups_per_row(out.format, k)));
  if (!wanted.symmetric) out.zeros.resize(out.scales.size());
  return out;
}

std::int64_t run_length(const QuantFormat& format, std::int64_t k) {
  return format.sharing == Sharing::group ? std::min(format.group, k) : k;
}

void store_grid(const WeightGrid& wanted, const Grid& grid, std::size_t index, UnpackedMatrix& out) {
  out.scales[index] = grid.scale;
  if (!wanted.symmetric) out.zeros[index] = stored_code(wanted, grid.zero);
}

}  // namespace qb
