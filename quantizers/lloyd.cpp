// Levels that are optimal for a known distribution of weights, moved and scaled to the weights there are: no search
// and, unlike k-means, nothing learnt but two numbers. Source: Max 1960, Quantizing for Minimum Distortion, IRE Trans.
// Inform. Theory 6(1); Lloyd 1982 (doi:10.1109/TIT.1982.1056489).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "quantizers/codebook.h"
#include "quantizers/lloyd_levels.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

constexpr double kLargest = std::numeric_limits<float>::max();

/// Values are level * scale + offset.
struct Placing {
  double scale = 0, offset = 0;
};

/// The values nearest to each level, by their number, sum and sum of squares.
struct Shares {
  std::vector<double> count, sum;
  double squares = 0;
};

Shares shares_of(const SortedValues& data, std::span<const double> levels, const Placing& placing) {
  Shares shares;
  std::size_t begin = 0;
  for (std::size_t j = 0; j < levels.size(); ++j) {
    std::size_t end = data.count();
    if (j + 1 < levels.size()) {
      const double middle = (levels[j] + levels[j + 1]) / 2 * placing.scale + placing.offset;
      end = std::size_t(std::upper_bound(data.value.begin() + std::ptrdiff_t(begin), data.value.end(), middle) -
                        data.value.begin());
    }
    shares.count.push_back(data.sum_w[end] - data.sum_w[begin]);
    shares.sum.push_back(data.sum_wx[end] - data.sum_wx[begin]);
    begin = end;
  }
  shares.squares = data.sum_wxx.back();
  return shares;
}

double squared_error(const Shares& shares, std::span<const double> levels, const Placing& placing) {
  double error = shares.squares;
  for (std::size_t j = 0; j < levels.size(); ++j) {
    const double value = levels[j] * placing.scale + placing.offset;
    error += value * (value * shares.count[j] - 2 * shares.sum[j]);
  }
  return error;
}

/// The scale and offset with the least squared error while every value keeps its level: a line through them.
Placing best_line(const Shares& shares, std::span<const double> levels, const Placing& otherwise) {
  double n = 0, l = 0, ll = 0, x = 0, lx = 0;
  for (std::size_t j = 0; j < levels.size(); ++j) {
    n += shares.count[j];
    l += shares.count[j] * levels[j];
    ll += shares.count[j] * levels[j] * levels[j];
    x += shares.sum[j];
    lx += shares.sum[j] * levels[j];
  }
  const double spread = n * ll - l * l;
  if (!(spread > 0)) return otherwise;
  const double scale = (n * lx - l * x) / spread;
  return scale > 0 ? Placing{scale, (x - scale * l) / n} : otherwise;
}

/// Where the moments of the values put the levels; with `searched`, values and line by turns from there on for as long
/// as the error falls.
Placing place(const SortedValues& data, std::span<const double> levels, const Moments& moments, Prior prior,
              bool searched, double& error) {
  Placing placing{prior == Prior::gauss ? moments.deviation : std::numbers::sqrt2 * moments.absolute_deviation,
                  moments.mean};
  Shares shares = shares_of(data, levels, placing);
  error = squared_error(shares, levels, placing);
  constexpr int kRounds = 100;
  for (int round = 0; searched && round < kRounds; ++round) {
    const Placing next = best_line(shares, levels, placing);
    Shares next_shares = shares_of(data, levels, next);
    const double next_error = squared_error(next_shares, levels, next);
    if (!(next_error < error)) break;
    placing = next;
    shares = std::move(next_shares);
    error = next_error;
  }
  return placing;
}

/// What a spec asks for.
class LloydPlan {
 public:
  explicit LloydPlan(const QuantSpec& spec) : searched_(option_of(spec, "fit") == "mse") {
    const std::string_view prior = option_of(spec, "prior");
    for (const Prior one : {Prior::gauss, Prior::laplace}) {
      if (prior == (one == Prior::gauss ? "laplace" : "gauss")) continue;
      priors_.push_back(one);
      levels_.push_back(lloyd_levels(one, spec.weight_bits));
    }
  }

  /// Levels [2^bits] for all values of a row or tensor: those of the prior that errs less over all its groups.
  std::span<const double> choose(std::span<const float> values, std::size_t group, std::vector<Placing>& placings) {
    double least = INFINITY;
    std::size_t best = 0;
    for (std::size_t p = 0; p < priors_.size(); ++p) {
      std::vector<Placing> found;
      double sum = 0;
      for (std::size_t begin = 0; begin < values.size(); begin += group) {
        const auto members = values.subspan(begin, std::min(group, values.size() - begin));
        double error = 0;
        found.push_back(place(sort_values(members), levels_[p], moments_of(members), priors_[p], searched_, error));
        sum += error;
      }
      if (p > 0 && !(sum < least)) continue;
      least = sum;
      best = p;
      placings = std::move(found);
    }
    return levels_[best];
  }

 private:
  bool searched_;
  std::vector<Prior> priors_;
  std::vector<std::vector<double>> levels_;  ///< by prior
};

/// One table of standard levels per row, and a scale and an offset per group.
PackedMatrix quantize_groups(const LayerProblem& layer, const QuantSpec& spec, LloydPlan& plan) {
  UnpackedMatrix out;
  out.format = weight_format(spec, CodeKind::table);
  out.format.offsets = true;
  out.format.scale = scale_option(spec);
  out.n = layer.weights.rows;
  out.k = layer.weights.cols;
  out.codes.resize(std::size_t(out.n * out.k));
  const auto group = std::size_t(spec.group), columns = std::size_t(out.k);
  std::vector<float> scaled(columns);
  for (std::int64_t r = 0; r < out.n; ++r) {
    const std::span<const float> row(layer.weights.row(r), columns);
    std::vector<Placing> placings;
    std::vector<float> levels(std::size_t(1) << spec.weight_bits);
    store_levels(plan.choose(row, group, placings), levels);
    for (const Placing& placing : placings) {
      out.scales.push_back(stored_scale(out.format.scale, float(placing.scale)));
      out.offsets.push_back(stored_offset(out.format.scale, placing.offset));
    }
    const std::size_t first = out.scales.size() - placings.size();
    for (std::size_t i = 0; i < columns; ++i) {
      const std::size_t at = first + i / group;
      scaled[i] = float((double(row[i]) - double(out.offsets[at])) / double(out.scales[at]));
    }
    encode_nearest(scaled, levels, out.codes.data() + r * out.k);
    out.table.insert(out.table.end(), levels.begin(), levels.end());
  }
  return pack(out);
}

}  // namespace

PackedMatrix quantize_lloyd(const LayerProblem& layer, const QuantSpec& spec) {
  check_finite(layer);
  LloydPlan plan(spec);
  if (spec.group > 0) return quantize_groups(layer, spec, plan);
  if (scale_option(spec) != ScaleType::f32)
    throw InputError(fmt::format("quantizer '{}': option 'scale' means nothing without g<size>", to_text(spec)));
  return quantize_to_tables(
      layer, spec, [&](std::size_t, std::span<const float> values, std::span<float> levels, std::uint8_t* codes) {
        std::vector<Placing> placings;
        std::vector<double> placed;
        for (const double level : plan.choose(values, values.size(), placings))
          placed.push_back(std::clamp(level * placings[0].scale + placings[0].offset, -kLargest, kLargest));
        store_levels(placed, levels);
        encode_nearest(values, levels, codes);
      });
}

}  // namespace qb
