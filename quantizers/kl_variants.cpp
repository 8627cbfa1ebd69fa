#include "quantizers/kl_variants.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "kernels/base/error.h"

namespace qb {

namespace {

std::size_t bin_at(double value, double width, std::size_t bins) {
  return std::min(std::size_t(std::max(value, 0.0) / width), bins - 1);
}

double centre(const Histogram& histogram, std::size_t i) { return (double(i) + 0.5) * histogram.width; }

/// sum of p ln(p / q) of two lists of counts, each over its own sum; infinite where q lacks what p has.
double divergence(std::span<const double> p, std::span<const double> q) {
  const double p_sum = std::accumulate(p.begin(), p.end(), 0.0), q_sum = std::accumulate(q.begin(), q.end(), 0.0);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] <= 0) continue;
    if (q[i] <= 0) return INFINITY;
    sum += p[i] / p_sum * std::log(p[i] / p_sum * q_sum / q[i]);
  }
  return sum;
}

double sum_of(std::span<const double> counts, std::size_t begin, std::size_t end) {
  return std::accumulate(counts.begin() + std::ptrdiff_t(begin), counts.begin() + std::ptrdiff_t(end), 0.0);
}

/// Shares what lies in [begin, end) of `counts` equally among the bins of [begin, share_end) that `mask` has.
void spread(std::span<const double> counts, std::span<const double> mask, std::size_t begin, std::size_t end,
            std::size_t share_end, std::span<double> q, bool integers) {
  const auto is_full = [](double count) { return count != 0; };
  const auto full =
      std::count_if(mask.begin() + std::ptrdiff_t(begin), mask.begin() + std::ptrdiff_t(share_end), is_full);
  if (full == 0) return;
  const double share = sum_of(counts, begin, end) / double(full);
  for (std::size_t i = begin; i < share_end; ++i) q[i] = integers ? std::trunc(share) : share;
}

}  // namespace

Histogram rebinned(const Histogram& magnitudes, double peak, std::size_t bins) {
  QB_EXPECTS(peak > 0 && bins > 0);
  Histogram coarse{peak / double(bins), std::vector<std::uint64_t>(bins, 0)};
  for (std::size_t i = 0; i < magnitudes.counts.size(); ++i)
    coarse.counts[bin_at(centre(magnitudes, i), coarse.width, bins)] += magnitudes.counts[i];
  return coarse;
}

CentredHistogram rebinned(const Histogram& negative, const Histogram& positive, std::uint64_t zeros, double peak,
                          std::size_t bins) {
  QB_EXPECTS(peak > 0 && bins > 0);
  CentredHistogram coarse{peak, std::vector<std::uint64_t>(bins, 0)};
  const auto add = [&](double value, std::uint64_t count) {
    coarse.counts[bin_at(value + peak, coarse.width(), bins)] += count;
  };
  add(0, zeros);
  for (std::size_t i = 0; i < negative.counts.size(); ++i) add(-centre(negative, i), negative.counts[i]);
  for (std::size_t i = 0; i < positive.counts.size(); ++i) add(centre(positive, i), positive.counts[i]);
  return coarse;
}

double kl_clip_modelopt(const Histogram& magnitudes, int levels, double peak) {
  QB_EXPECTS(levels >= 1);
  constexpr std::size_t kFirst = 128;
  std::vector<double> counts(magnitudes.counts.begin(), magnitudes.counts.end());
  if (counts.size() <= kFirst) return peak;
  counts[0] = counts[1];
  double least = INFINITY;
  std::size_t best = counts.size();
  std::vector<double> p, q;
  for (std::size_t used = kFirst; used <= counts.size(); ++used) {
    p.assign(counts.begin(), counts.begin() + std::ptrdiff_t(used));
    q.assign(used, 0);
    const auto group_begin = [&](std::size_t g) { return (g * used + std::size_t(levels) - 1) / std::size_t(levels); };
    for (std::size_t g = 0; g < std::size_t(levels); ++g)
      spread(counts, counts, group_begin(g), group_begin(g + 1), group_begin(g + 1), q, false);
    for (std::size_t i = 0; i < used; ++i)
      if (counts[i] == 0) q[i] = 0;
    p.back() += sum_of(counts, used, counts.size());
    const double found = divergence(p, q);
    if (found <= least) {
      least = found;
      best = used;
    }
  }
  return std::min(double(best) * magnitudes.width, peak);
}

double kl_clip_paddleslim(const Histogram& magnitudes, int levels, double peak) {
  QB_EXPECTS(levels >= 1);
  const std::vector<double> counts(magnitudes.counts.begin(), magnitudes.counts.end());
  const std::size_t first = (counts.size() - 1) / 2, groups = std::size_t(levels);
  double least = INFINITY;
  std::size_t best = 0;
  std::vector<double> p, q;
  for (std::size_t used = std::max<std::size_t>(first, groups); used < counts.size(); ++used) {
    if (counts[used - 1] == 0) continue;
    p.assign(counts.begin(), counts.begin() + std::ptrdiff_t(used));
    p.back() += sum_of(counts, used, counts.size());
    q.assign(used, 0);
    const std::size_t size = used / groups;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t end = g + 1 == groups ? used : (g + 1) * size;
      spread(counts, p, g * size, end, end, q, false);
    }
    for (std::size_t i = 0; i < used; ++i)
      if (p[i] == 0) q[i] = 0;
    const double found = divergence(p, q);
    if (found < least) {
      least = found;
      best = used;
    }
  }
  if (best == 0)
    for (best = first; best > 0 && counts[best] == 0;) --best;
  return std::min((double(best) + 0.5) * magnitudes.width, peak);
}

namespace {

/// Moves 1e-4 into every empty bin, taken from the full ones; nothing where all are empty.
bool smooth(std::span<double> counts) {
  constexpr double kMoved = 1e-4;
  const auto empty = double(std::count(counts.begin(), counts.end(), 0.0)), full = double(counts.size()) - empty;
  if (full == 0) return false;
  for (double& count : counts) count += count == 0 ? kMoved : -kMoved * empty / full;
  return true;
}

/// What sets the two-sided variants apart.
struct TwoSidedRule {
  bool integers;            ///< shares are cut to integers
  bool rest_in_last_group;  ///< bins beyond levels * group share in the last group, but for the very last bin
  bool keeps_empty;         ///< bins that are empty before outliers are folded in get no share
};

/// Bins [first, last) of the best cut.
struct Cut {
  std::size_t first = 0, last = 0;
};

Cut best_cut(const CentredHistogram& values, int levels, const TwoSidedRule& rule) {
  QB_EXPECTS(levels >= 2);
  const std::vector<double> counts(values.counts.begin(), values.counts.end());
  const std::size_t middle = counts.size() / 2, groups = std::size_t(levels);
  Cut best{0, counts.size()};
  double least = INFINITY;
  std::vector<double> p, q;
  for (std::size_t reach = groups / 2; reach <= middle; ++reach) {
    const std::size_t first = middle - reach, last = std::min(middle + reach + 1, counts.size());
    const std::span<const double> cut = std::span(counts).subspan(first, last - first);
    p.assign(cut.begin(), cut.end());
    p.front() += sum_of(counts, 0, first);
    p.back() += sum_of(counts, last, counts.size());
    q.assign(cut.size(), 0);
    const std::size_t size = cut.size() / groups;
    for (std::size_t g = 0; g < groups; ++g) {
      const bool is_last = g + 1 == groups;
      const std::size_t end = is_last ? cut.size() : (g + 1) * size;
      const std::size_t share_end = is_last && rule.rest_in_last_group ? cut.size() - 1 : (g + 1) * size;
      if (share_end > g * size) spread(cut, p, g * size, end, share_end, q, rule.integers);
    }
    if (rule.keeps_empty)
      for (std::size_t i = 0; i < q.size(); ++i)
        if (cut[i] == 0) q[i] = 0;
    const double found = smooth(p) && smooth(q) ? divergence(p, q) : INFINITY;
    if (found < least) {
      least = found;
      best = {first, last};
    }
  }
  return best;
}

}  // namespace

double kl_clip_mxnet(const CentredHistogram& values, int levels) {
  return values.edge(best_cut(values, levels, {false, true, true}).last);
}

Range kl_range_ort(const CentredHistogram& values, int levels) {
  const Cut cut = best_cut(values, levels, {true, false, false});
  return {values.edge(cut.first), values.edge(cut.last)};
}

}  // namespace qb
