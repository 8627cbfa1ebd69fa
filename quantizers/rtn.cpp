// Round to nearest. Source: Jacob et al. 2018 (arXiv:1712.05877); ranges and grids: grid.h, range_search.h.
#include <algorithm>
#include <cmath>

#include "quantizers/grid.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/range_search.h"

namespace qb {
namespace {

enum class RangeChoice : std::uint8_t { minmax, percentile, mse };

/// The options of a spec, read once.
struct RtnPlan {
  int bits = 8;
  bool symmetric = true;
  RangeChoice choice = RangeChoice::minmax;
  double percent = 100, norm = 2;
};

RtnPlan plan_of(const QuantSpec& spec) {
  const std::string_view range = option_of(spec, "range");
  RtnPlan plan;
  plan.bits = spec.weight_bits;
  plan.symmetric = option_of(spec, "grid") == "sym";
  plan.choice = range == "mse"          ? RangeChoice::mse
                : range == "percentile" ? RangeChoice::percentile
                                        : RangeChoice::minmax;
  plan.percent = number_of(spec, "percentile");
  plan.norm = number_of(spec, "norm");
  return plan;
}

double clip_of(const RtnPlan& plan, std::span<const float> values) {
  if (plan.choice == RangeChoice::mse) return mse_clip(values, plan.bits, plan.norm);
  std::vector<float> magnitudes(values.begin(), values.end());
  for (float& value : magnitudes) value = std::abs(value);
  if (plan.choice == RangeChoice::minmax) return double(*std::max_element(magnitudes.begin(), magnitudes.end()));
  std::sort(magnitudes.begin(), magnitudes.end());
  return percentile(magnitudes, plan.percent);
}

Range range_of(const RtnPlan& plan, std::span<const float> values) {
  if (plan.choice == RangeChoice::mse) return mse_range(values, plan.bits, plan.norm);
  if (plan.choice == RangeChoice::minmax) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return {double(*low), double(*high)};
  }
  std::vector<float> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double outside = (100 - plan.percent) / 2;
  return {percentile(sorted, outside), percentile(sorted, 100 - outside)};
}

Grid grid_of(const RtnPlan& plan, std::span<const float> values) {
  return plan.symmetric ? symmetric_grid(clip_of(plan, values), plan.bits)
                        : asymmetric_grid(range_of(plan, values), plan.bits);
}

/// Writes the codes of the values that share one grid.
void encode(const Grid& grid, std::span<const float> values, std::uint8_t* codes, int bits) {
  const std::int32_t middle = 1 << (bits - 1);  // codes are stored unsigned
  for (std::size_t i = 0; i < values.size(); ++i) codes[i] = std::uint8_t(code_of(grid, values[i]) + middle);
}

}  // namespace

PackedMatrix quantize_rtn(const LayerProblem& layer, const QuantSpec& spec) {
  const RtnPlan plan = plan_of(spec);
  QuantFormat format = weight_format(spec, CodeKind::integer);
  format.zeros = !plan.symmetric;
  format.scale = scale_option(spec);
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    Grid grid = grid_of(plan, values);
    if (format.scale != ScaleType::f32) grid.scale = stored_scale(format.scale, grid.scale);
    out.scales.push_back(grid.scale);
    if (!plan.symmetric) out.zeros.push_back(std::uint8_t(grid.zero + (1 << (plan.bits - 1))));
    encode(grid, values, codes, plan.bits);
  });
}

}  // namespace qb
