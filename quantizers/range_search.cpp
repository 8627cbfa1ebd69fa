#include "quantizers/range_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/base/error.h"

namespace qb {
namespace {

constexpr int kClips = 100;  ///< candidates of the MSE search: every percent of the full range

double magnitude_of_error(double error, double norm) {
  return norm == 2.0 ? error * error : std::pow(std::abs(error), norm);
}

double total_error(std::span<const float> values, const Grid& grid, double norm) {
  double sum = 0;
  for (const float value : values)
    sum += magnitude_of_error(double(value) - double(value_of(grid, code_of(grid, value))), norm);
  return sum;
}

/// Of a histogram whose bins lie at sign * centre.
double side_error(const Histogram& magnitudes, double sign, const Grid& grid, double norm) {
  double sum = 0;
  for (std::size_t i = 0; i < magnitudes.counts.size(); ++i) {
    if (magnitudes.counts[i] == 0) continue;
    const float centre = float(sign * (double(i) + 0.5) * magnitudes.width);
    const double error = double(centre) - double(value_of(grid, code_of(grid, centre)));
    sum += double(magnitudes.counts[i]) * magnitude_of_error(error, norm);
  }
  return sum;
}

/// The fraction i / 100 with the least cost; the lowest on ties.
template <class Cost>
double best_fraction(const Cost& cost) {
  double best = 1.0, least = cost(1.0);
  for (int i = kClips - 1; i >= 1; --i) {
    const double fraction = double(i) / kClips, sum = cost(fraction);
    if (sum <= least) {
      least = sum;
      best = fraction;
    }
  }
  return best;
}

Range range_of(std::span<const float> values) {
  Range range;
  for (const float value : values) {
    range.low = std::min(range.low, double(value));
    range.high = std::max(range.high, double(value));
  }
  return range;
}

/// Shrinks both ends of the range together, then each alone.
template <class Cost>
Range best_range(Range range, const Cost& cost) {
  const double both = best_fraction([&](double fraction) {
    return cost(Range{range.low * fraction, range.high * fraction});
  });
  range = {range.low * both, range.high * both};
  range.low *= best_fraction([&](double fraction) { return cost(Range{range.low * fraction, range.high}); });
  range.high *= best_fraction([&](double fraction) { return cost(Range{range.low, range.high * fraction}); });
  return range;
}

}  // namespace

double percentile(std::span<const float> sorted, double percent) {
  QB_EXPECTS(!sorted.empty() && percent >= 0 && percent <= 100);
  const double rank = percent / 100 * double(sorted.size() - 1);
  const auto below = std::min(std::size_t(rank), sorted.size() - 1);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = rank - double(below);
  return double(sorted[below]) + part * (double(sorted[above]) - double(sorted[below]));
}

double percentile_clip(const Histogram& magnitudes, double percent, double peak) {
  const auto total = double(std::accumulate(magnitudes.counts.begin(), magnitudes.counts.end(), std::uint64_t{0}));
  const double wanted = (percent / 100 + 1e-9) * total;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < magnitudes.counts.size(); ++i) {
    seen += magnitudes.counts[i];
    if (double(seen) > wanted) return std::min(double(i) * magnitudes.width, peak);
  }
  return peak;
}

double mse_clip(std::span<const float> values, int bits, double norm) {
  const Range range = range_of(values);
  const double peak = std::max(-range.low, range.high);
  return peak * best_fraction(
                    [&](double fraction) { return total_error(values, symmetric_grid(peak * fraction, bits), norm); });
}

Range mse_range(std::span<const float> values, int bits, double norm) {
  return best_range(range_of(values),
                    [&](Range range) { return total_error(values, asymmetric_grid(range, bits), norm); });
}

double total_error(const Histogram& negative, const Histogram& positive, const Grid& grid, double norm) {
  return side_error(negative, -1.0, grid, norm) + side_error(positive, 1.0, grid, norm);
}

double mse_clip(const Histogram& magnitudes, double peak, int bits, double norm) {
  return peak * best_fraction([&](double fraction) {
           return side_error(magnitudes, 1.0, symmetric_grid(peak * fraction, bits), norm);
         });
}

Range mse_range(const Histogram& negative, const Histogram& positive, Range range, int bits, double norm) {
  return best_range(range,
                    [&](Range shrunk) { return total_error(negative, positive, asymmetric_grid(shrunk, bits), norm); });
}

namespace {

/// KL divergence between counts[0, used) with everything beyond added to the last bin, and their means over `levels`
/// groups.
///
/// Each group's mass is shared by its non-empty bins. ln(P/Q) needs both forms normalised: `mass` is the sum of all
/// counts.
double clipped_divergence(std::span<const double> counts, std::size_t used, int levels, double mass) {
  const double kept = std::accumulate(counts.begin(), counts.begin() + std::ptrdiff_t(used), 0.0);
  if (kept <= 0) return INFINITY;
  double divergence = 0;
  for (int group = 0; group < levels; ++group) {
    const std::size_t begin = std::size_t(group) * used / std::size_t(levels);
    const std::size_t end = std::size_t(group + 1) * used / std::size_t(levels);
    double sum = 0;
    std::size_t filled = 0;
    for (std::size_t i = begin; i < end; ++i) {
      sum += counts[i];
      filled += counts[i] > 0;
    }
    const double coarse = filled > 0 ? sum / double(filled) / kept : 0;
    for (std::size_t i = begin; i < end; ++i) {
      const double fine = (counts[i] + (i + 1 == used ? mass - kept : 0)) / mass;
      const double shared = counts[i] > 0 ? coarse : 0;
      if (fine > 0) divergence += fine * std::log(fine / std::max(shared, 1e-12));
    }
  }
  return divergence;
}

}  // namespace

double kl_clip(const Histogram& magnitudes, int levels, double peak) {
  QB_EXPECTS(levels >= 1);
  std::vector<double> counts(magnitudes.counts.begin(), magnitudes.counts.end());
  while (!counts.empty() && counts.back() == 0) counts.pop_back();
  if (counts.size() <= std::size_t(levels)) return peak;
  counts[0] = counts[1];
  const double mass = std::accumulate(counts.begin(), counts.end(), 0.0);
  double least = INFINITY;
  std::size_t best = counts.size();
  for (std::size_t used = std::size_t(levels); used <= counts.size(); ++used) {
    const double divergence = clipped_divergence(counts, used, levels, mass);
    if (divergence < least) {
      least = divergence;
      best = used;
    }
  }
  return std::min(double(best) * magnitudes.width, peak);
}

}  // namespace qb
