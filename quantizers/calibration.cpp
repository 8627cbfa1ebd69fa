#include "quantizers/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "quantizers/clip_formulas.h"
#include "quantizers/kl_variants.h"
#include "quantizers/options.h"
#include "quantizers/sample_runs.h"

namespace qb {
namespace {

/// The least e with |value| < kBins * 2^e, for a finite value other than zero.
int exponent_for(float magnitude) {
  int power = 0;
  std::frexp(magnitude, &power);  // magnitude < 2^power
  return power - 12;
}
static_assert(ValueStatistics::kBins == 1 << 12);

/// Doubles the width until it is 2^exponent: each step adds bins 2i and 2i + 1.
void widen(ValueStatistics& statistics, int exponent) {
  if (statistics.exponent == ValueStatistics::kNoExponent) {
    statistics.exponent = exponent;
    statistics.negative.assign(ValueStatistics::kBins, 0);
    statistics.positive.assign(ValueStatistics::kBins, 0);
    return;
  }
  const int steps = std::min(exponent - statistics.exponent, 12);
  if (steps <= 0) return;
  for (std::vector<std::uint64_t>* side : {&statistics.negative, &statistics.positive}) {
    std::vector<std::uint64_t> folded(ValueStatistics::kBins, 0);
    for (std::size_t i = 0; i < side->size(); ++i) folded[i >> steps] += (*side)[i];
    side->swap(folded);
  }
  statistics.exponent = exponent;
}

}  // namespace

void add_values(ValueStatistics& statistics, std::span<const float> values) {
  float peak = 0;
  for (const float value : values)
    if (std::isfinite(value)) peak = std::max(peak, std::abs(value));
  if (peak > 0) widen(statistics, exponent_for(peak));
  const double bins_per_unit = peak > 0 ? std::ldexp(1.0, -statistics.exponent) : 0;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++statistics.not_finite;
      continue;
    }
    statistics.low = statistics.count == 0 ? value : std::min(statistics.low, value);
    statistics.high = statistics.count == 0 ? value : std::max(statistics.high, value);
    ++statistics.count;
    if (value == 0) {
      ++statistics.zeros;
    } else {
      auto& side = value < 0 ? statistics.negative : statistics.positive;
      ++side[std::size_t(std::abs(double(value)) * bins_per_unit)];
    }
  }
}

void merge(ValueStatistics& into, const ValueStatistics& from) {
  if (from.count > 0) {
    into.low = into.count == 0 ? from.low : std::min(into.low, from.low);
    into.high = into.count == 0 ? from.high : std::max(into.high, from.high);
  }
  into.count += from.count;
  into.zeros += from.zeros;
  into.not_finite += from.not_finite;
  if (from.exponent == ValueStatistics::kNoExponent) return;
  ValueStatistics other = from;
  widen(into, from.exponent);
  widen(other, into.exponent);
  for (std::size_t i = 0; i < ValueStatistics::kBins; ++i) {
    into.negative[i] += other.negative[i];
    into.positive[i] += other.positive[i];
  }
}

namespace {

Histogram side_of(const ValueStatistics& statistics, const std::vector<std::uint64_t>& counts) {
  if (counts.empty()) return {1.0, std::vector<std::uint64_t>(1, 0)};
  return {std::ldexp(1.0, statistics.exponent), counts};
}

}  // namespace

Histogram negative_side(const ValueStatistics& statistics) { return side_of(statistics, statistics.negative); }

Histogram positive_side(const ValueStatistics& statistics) { return side_of(statistics, statistics.positive); }

Histogram magnitudes(const ValueStatistics& statistics, bool with_zeros) {
  Histogram both = positive_side(statistics);
  for (std::size_t i = 0; i < statistics.negative.size(); ++i) both.counts[i] += statistics.negative[i];
  if (with_zeros) both.counts[0] += statistics.zeros;
  return both;
}

void add_batch(MovingRange& range, std::span<const float> batch, double rate) {
  if (batch.empty()) return;
  const auto [low, high] = std::minmax_element(batch.begin(), batch.end());
  const double weight = range.batches == 0 ? 1.0 : rate;
  range.low += weight * (double(*low) - range.low);
  range.high += weight * (double(*high) - range.high);
  ++range.batches;
}

std::vector<ActivationStatistics> observe_activations(const Model& model, std::span<const MatrixWeight> layers,
                                                      const Tensor& samples, double rate, int threads,
                                                      const std::function<void(std::string_view)>& progress) {
  if (progress) progress("calibrating");
  std::vector<ActivationStatistics> seen(layers.size());
  run_samples(model, samples, threads, [&](const Executor&) {
    ExecutorObserver observer;
    observer.before = [&](const NodeEvent& event) {
      for (std::size_t layer = 0; layer < layers.size(); ++layer) {
        if (layers[layer].node != event.node) continue;
        const std::span<const float> values = event.inputs[0]->as<float>();
        add_values(seen[layer].values, values);
        if (seen[layer].values.not_finite > 0)
          throw DataError(fmt::format("node '{}': {} of its inputs are not finite on the calibration samples",
                                      event.what->name, seen[layer].values.not_finite));
        add_batch(seen[layer].average, values, rate);
      }
    };
    return observer;
  });
  return seen;
}

namespace {

Range cut_at(Range whole, double clip) { return {std::max(whole.low, -clip), std::min(whole.high, clip)}; }

Grid grid_over(Range range, int bits, bool asym) {
  return asym ? asymmetric_grid(range, bits) : symmetric_grid(std::max(-range.low, range.high), bits);
}

/// The published KL searches on as many bins as their programs use, but for ONNX Runtime's: its 128 never clip.
Range published_kl_range(std::string_view act, const ValueStatistics& values, Range whole, int bits, bool asym) {
  const double peak = std::max(-whole.low, whole.high);
  if (peak == 0) return whole;
  const bool one_sided = asym && whole.low == 0;
  const int levels = 1 << (one_sided ? bits : bits - 1);
  constexpr std::size_t kBins = 2048, kMxnetBins = 8001;
  const Histogram one = rebinned(magnitudes(values, true), peak, kBins);
  if (act == "kl-modelopt") return cut_at(whole, kl_clip_modelopt(one, levels, peak));
  if (act == "kl-paddleslim") return cut_at(whole, kl_clip_paddleslim(one, levels - 1, peak));
  const CentredHistogram two = rebinned(negative_side(values), positive_side(values), values.zeros, peak,
                                        act == "kl-mxnet" ? kMxnetBins : kBins);
  if (act == "kl-mxnet") return cut_at(whole, kl_clip_mxnet(two, 2 * levels - 1));
  const Range range = kl_range_ort(two, levels);
  return {std::max(whole.low, range.low), std::min(whole.high, range.high)};
}

/// The ends that formulas and published searches give; a symmetric grid takes the farther one.
std::optional<Range> formula_range(const ValueStatistics& values, std::string_view act, int bits, bool asym) {
  const Range whole{std::min(double(values.low), 0.0), std::max(double(values.high), 0.0)};
  const double peak = std::max(-whole.low, whole.high);
  const Histogram negative = negative_side(values), positive = positive_side(values);
  const bool one_sided = asym && (whole.low == 0 || whole.high == 0);
  if (act == "aciq")
    return aciq_range(moments_of(negative, positive, values.zeros), whole, bits, one_sided,
                      [&](Range range) { return total_error(negative, positive, grid_over(range, bits, asym)); });
  if (act == "octav") return cut_at(whole, octav_clip(magnitudes(values, true), peak, bits, one_sided));
  if (act == "entropy") return cut_at(whole, entropy_clip(negative, positive, values.zeros, peak, bits, /*penalty=*/1));
  if (act.starts_with("kl-")) return published_kl_range(act, values, whole, bits, asym);
  return std::nullopt;
}

double symmetric_clip(const ActivationStatistics& seen, const QuantSpec& spec) {
  const std::string_view act = option_of(spec, "act");
  const ValueStatistics& values = seen.values;
  const double peak = std::max(std::abs(double(values.low)), std::abs(double(values.high)));
  if (act == "average") return std::max(std::abs(seen.average.low), std::abs(seen.average.high));
  if (act == "percentile") return percentile_clip(magnitudes(values, true), number_of(spec, "act_percentile"), peak);
  if (act == "mse") return mse_clip(magnitudes(values, false), peak, spec.activation_bits, number_of(spec, "act_norm"));
  if (act == "kl") return kl_clip(magnitudes(values, false), 1 << (spec.activation_bits - 1), peak);
  return peak;
}

/// The clip of one side with `beyond` percent of all values further out on that side.
double tail_clip(const Histogram& side, const ValueStatistics& values, double beyond, double peak) {
  Histogram all = side;
  std::uint64_t here = 0;
  for (const std::uint64_t bin : side.counts) here += bin;
  all.counts[0] += values.count - here;  // zeros and the other side lie below every bin of this one
  return percentile_clip(all, 100 - beyond, peak);
}

Range asymmetric_range(const ActivationStatistics& seen, const QuantSpec& spec) {
  const std::string_view act = option_of(spec, "act");
  const ValueStatistics& values = seen.values;
  const Range whole{std::min(double(values.low), 0.0), std::max(double(values.high), 0.0)};
  if (act == "average") return {seen.average.low, seen.average.high};
  if (act == "percentile") {
    const double beyond = (100 - number_of(spec, "act_percentile")) / 2;
    return {-tail_clip(negative_side(values), values, beyond, -whole.low),
            tail_clip(positive_side(values), values, beyond, whole.high)};
  }
  if (act == "mse")
    return mse_range(negative_side(values), positive_side(values), whole, spec.activation_bits,
                     number_of(spec, "act_norm"));
  if (act == "kl") {
    const int level_bits = whole.low < 0 ? spec.activation_bits - 1 : spec.activation_bits;
    const double clip = kl_clip(magnitudes(values, false), 1 << level_bits, std::max(-whole.low, whole.high));
    return {std::max(whole.low, -clip), std::min(whole.high, clip)};
  }
  return whole;
}

}  // namespace

ActivationQuant choose_activation(const ActivationStatistics& seen, const QuantSpec& spec) {
  const int bits = spec.activation_bits;
  const bool asym = flag_of(spec, "asym");
  const std::optional<Range> ends = formula_range(seen.values, option_of(spec, "act"), bits, asym);
  const Grid grid = ends   ? grid_over(*ends, bits, asym)
                    : asym ? asymmetric_grid(asymmetric_range(seen, spec), bits)
                           : symmetric_grid(symmetric_clip(seen, spec), bits);
  return {true, bits, grid.scale, grid.zero};
}

}  // namespace qb
