// Powers of two (`pot`: products are shifts) and sums of them (`apot`: two or three shifts), scaled.
// Sources: Miyashita et al. 2016 (arXiv:1603.01025): powers of two; Li, Dong and Wang 2020, Additive Powers-of-Two
// Quantization (arXiv:1909.13144). The published APoT trains with weights from which the mean is taken and that are
// divided by their deviation; here the scale takes the deviation's place, and the mean stays in, because levels have no
// offset. Both spend further bits near zero, so that where the range ends matters more than for other levels.
#include <algorithm>
#include <cmath>

#include "kernels/levels.h"
#include "quantizers/codebook.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

constexpr int kClips = 100;  ///< that the search tries

/// A set with its largest level, and how scales are stored.
struct ScaledSet {
  std::span<const float> levels;
  ScaleType type;

  /// A scale that its type rounds upwards may take the largest level out of float32: then half of it.
  float scale_of(double clip) const {
    const float scale = stored_scale(type, float(clip / double(levels.back())));
    return std::isfinite(scale * levels.back()) ? scale : scale / 2;
  }
};

/// From zero, not from the mean, which stays in: a row of equal weights keeps its range.
double deviation(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += double(value) * double(value);
  return std::sqrt(squares / double(values.size()));
}

/// Sum of the squared errors of sorted values, each at its nearest level.
double squared_error(const SortedValues& data, const ScaledSet& set, float scale) {
  double sum = 0;
  std::size_t begin = 0;
  for (std::size_t j = 0; j < set.levels.size() && begin < data.count(); ++j) {
    const double level = double(set.levels[j]) * double(scale);
    std::size_t end = data.count();
    if (j + 1 < set.levels.size()) {
      const double middle = (level + double(set.levels[j + 1]) * double(scale)) / 2;
      end = std::size_t(std::upper_bound(data.value.begin() + std::ptrdiff_t(begin), data.value.end(), middle) -
                        data.value.begin());
    }
    const double w = data.sum_w[end] - data.sum_w[begin], wx = data.sum_wx[end] - data.sum_wx[begin];
    sum += data.sum_wxx[end] - data.sum_wxx[begin] - level * (2 * wx - level * w);
    begin = end;
  }
  return sum;
}

/// The scale of the clip peak * i / 100 with the least squared error; the largest clip on ties.
float best_scale(std::span<const float> values, const ScaledSet& set, double peak) {
  const SortedValues data = sort_values(values);
  float best = set.scale_of(peak);
  double least = squared_error(data, set, best);
  for (int i = kClips - 1; i > 0; --i) {
    const float scale = set.scale_of(peak * i / kClips);
    if (const double error = squared_error(data, set, scale); error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

float choose_scale(std::span<const float> values, const ScaledSet& set, std::string_view range) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double peak = std::max(std::abs(double(*low)), std::abs(double(*high)));
  if (range == "mse") return best_scale(values, set, peak);
  return set.scale_of(range == "sigma" ? std::min(peak, 3 * deviation(values)) : peak);
}

}  // namespace

PackedMatrix quantize_powers(const LayerProblem& layer, const QuantSpec& spec) {
  QuantFormat format = weight_format(spec, CodeKind::levels);
  const int first = int(spec.method == "pot" ? LevelSet::pot3 : LevelSet::apot4);
  format.levels = LevelSet(first + spec.weight_bits - find_quantizer(spec.method)->min_bits);
  format.scale = scale_option(spec);
  const ScaledSet set{levels_of(format.levels), format.scale};
  const std::string_view range = option_of(spec, "range");
  return quantize_runs(layer, format, [&](std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out) {
    const float scale = choose_scale(values, set, range);
    out.scales.push_back(scale);
    std::transform(values.begin(), values.end(), codes,
                   [&](float value) { return std::uint8_t(nearest_level(set.levels, value / scale)); });
  });
}

}  // namespace qb
