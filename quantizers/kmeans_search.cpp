#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/random.h"
#include "quantizers/codebook.h"

namespace qb {
namespace {

constexpr int kMaxIterations = 300;  ///< iterations end when nothing moves; this bounds pathological data
constexpr int kMaxMoves = 1000;      ///< of levels after the iteration; each lowers the inertia

/// begin[j] is the first value that belongs to level j; [k + 1]. Ties between two levels go to the lower.
std::vector<std::size_t> assign(const SortedValues& data, const std::vector<double>& levels) {
  std::vector<std::size_t> begin = {0};
  for (std::size_t j = 0; j + 1 < levels.size(); ++j) {
    const double middle = levels[j] + (levels[j + 1] - levels[j]) / 2;
    const auto from = data.value.begin() + std::ptrdiff_t(begin.back());
    begin.push_back(std::size_t(std::upper_bound(from, data.value.end(), middle) - data.value.begin()));
  }
  begin.push_back(data.count());
  return begin;
}

double inertia(const SortedValues& data, const std::vector<double>& levels) {
  const std::vector<std::size_t> begin = assign(data, levels);
  double sum = 0;
  for (std::size_t j = 0; j < levels.size(); ++j)
    for (std::size_t i = begin[j]; i < begin[j + 1]; ++i)
      sum += data.weight[i] * (data.value[i] - levels[j]) * (data.value[i] - levels[j]);
  return sum;
}

/// Moves the levels named in `idle` to the values with the largest weighted errors. False when no value has an error.
bool move_idle(const SortedValues& data, const std::vector<std::size_t>& begin, const std::vector<std::size_t>& idle,
               std::vector<double>& levels) {
  std::vector<std::pair<double, std::size_t>> errors;
  for (std::size_t j = 0; j < levels.size(); ++j)
    for (std::size_t i = begin[j]; i < begin[j + 1]; ++i) {
      const double error = data.weight[i] * (data.value[i] - levels[j]) * (data.value[i] - levels[j]);
      if (error > 0) errors.emplace_back(-error, i);
    }
  const std::size_t moves = std::min(idle.size(), errors.size());
  std::partial_sort(errors.begin(), errors.begin() + std::ptrdiff_t(moves), errors.end());
  for (std::size_t m = 0; m < moves; ++m) levels[idle[m]] = data.value[errors[m].second];
  return moves > 0;
}

std::size_t zero_level(const std::vector<double>& levels) {
  return std::size_t(std::find(levels.begin(), levels.end(), 0.0) - levels.begin());
}

/// Lloyd's iteration from rising levels. With pin_zero one of them is exactly zero and does not move.
Codebook lloyd(const SortedValues& data, std::vector<double> levels, bool pin_zero) {
  std::vector<std::size_t> previous;
  for (int iteration = 0; iteration < kMaxIterations; ++iteration) {
    const std::vector<std::size_t> begin = assign(data, levels);
    const std::size_t pinned = pin_zero ? zero_level(levels) : levels.size();
    std::vector<std::size_t> idle;
    for (std::size_t j = 0; j < levels.size(); ++j) {
      if (j == pinned) continue;
      if (begin[j] == begin[j + 1])
        idle.push_back(j);
      else
        levels[j] = data.mean(begin[j], begin[j + 1]);
    }
    const bool moved = !idle.empty() && move_idle(data, begin, idle, levels);
    if (!moved && begin == previous) break;
    previous = begin;
    std::sort(levels.begin(), levels.end());
  }
  return {levels, inertia(data, levels)};
}

/// Where one cluster is best cut in two, and what that saves.
struct Split {
  double saved = 0;
  std::size_t at = 0;
};
Split best_split(const SortedValues& data, std::size_t begin, std::size_t end) {
  Split best;
  for (std::size_t s = begin + 1; s < end; ++s) {
    const double saved = data.cost(begin, end) - data.cost(begin, s) - data.cost(s, end);
    if (saved > best.saved) best = {saved, s};
  }
  return best;
}

/// What dividing the values of levels j and j + 1 between them saves.
double saved_by_pair(const SortedValues& data, const std::vector<std::size_t>& begin, std::size_t j) {
  return data.cost(begin[j], begin[j + 2]) - data.cost(begin[j], begin[j + 1]) - data.cost(begin[j + 1], begin[j + 2]);
}

/// Cuts the values of two neighbours anew where that saves most, over all of their values. False when no cut is better.
bool recut_pair(const SortedValues& data, std::size_t pinned, std::vector<double>& levels) {
  const std::vector<std::size_t> begin = assign(data, levels);
  double most = 0;
  std::size_t pair = levels.size(), at = 0;
  for (std::size_t j = 0; j + 1 < levels.size(); ++j) {
    if (j == pinned || j + 1 == pinned) continue;
    const Split cut = best_split(data, begin[j], begin[j + 2]);
    const double gain = cut.saved * (1 - 1e-9) - saved_by_pair(data, begin, j);
    if (gain > most) {
      most = gain;
      pair = j;
      at = cut.at;
    }
  }
  if (pair == levels.size()) return false;
  levels[pair] = data.mean(begin[pair], at);
  levels[pair + 1] = data.mean(at, begin[pair + 2]);
  return true;
}

/// Takes one level from the two neighbours that need two least and gives it to the cluster that gains most by a second
/// one. False, and nothing changed, when that would not lower the inertia. A level at `pinned` is left alone.
bool move_level(const SortedValues& data, std::size_t pinned, std::vector<double>& levels) {
  const std::vector<std::size_t> begin = assign(data, levels);
  Split split;
  std::size_t divided = levels.size(), merged = levels.size();
  for (std::size_t j = 0; j < levels.size(); ++j) {
    if (j == pinned) continue;
    if (const Split here = best_split(data, begin[j], begin[j + 1]); here.saved > split.saved) {
      split = here;
      divided = j;
    }
  }
  double price = split.saved * (1 - 1e-9);
  for (std::size_t j = 0; j + 1 < levels.size(); ++j) {
    if (j == pinned || j + 1 == pinned || j == divided || j + 1 == divided) continue;
    if (const double cost = saved_by_pair(data, begin, j); cost < price) {
      price = cost;
      merged = j;
    }
  }
  if (merged == levels.size()) return false;
  levels[merged] = data.mean(begin[merged], begin[merged + 2]);
  levels[merged + 1] = data.mean(begin[divided], split.at);
  levels[divided] = data.mean(split.at, begin[divided + 1]);
  std::sort(levels.begin(), levels.end());
  return true;
}

/// The value at which the given part of the mass is reached.
double quantile(const SortedValues& data, double part) {
  const auto end = std::lower_bound(data.sum_w.begin() + 1, data.sum_w.end() - 1, part * data.sum_w.back());
  return data.value[std::size_t(end - data.sum_w.begin()) - 1];
}

/// Squared distances to the nearest level so far, and how one more level at `level` would lower their weighted sum.
struct Distances {
  const SortedValues& data;
  std::vector<double> squared;

  double nearer(std::size_t i, double level) const {
    return std::min(squared[i], (data.value[i] - level) * (data.value[i] - level));
  }
  double sum_with(double level) const {
    double sum = 0;
    for (std::size_t i = 0; i < data.count(); ++i) sum += data.weight[i] * nearer(i, level);
    return sum;
  }
  void add(double level) {
    for (std::size_t i = 0; i < data.count(); ++i) squared[i] = nearer(i, level);
  }
};

/// k levels one after another, each the best of 2 + ln k values drawn with probability proportional to weight times
/// squared distance to the nearest level so far: the greedy form of Arthur and Vassilvitskii, section 5 of their
/// technical report.
std::vector<double> draw_levels(const SortedValues& data, int k, Random& random) {
  const int trials = 2 + int(std::log(k));
  Distances distances{data, std::vector<double>(data.count(), INFINITY)};
  std::vector<double> levels, cumulated(data.count());
  for (int j = 0; j < k; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < data.count(); ++i) {
      sum += data.weight[i] * (j == 0 ? 1.0 : distances.squared[i]);
      cumulated[i] = sum;
    }
    double best = data.value.front(), least = INFINITY;
    for (int trial = 0; trial < trials; ++trial) {
      const auto drawn = std::upper_bound(cumulated.begin(), cumulated.end() - 1, random.uniform() * sum);
      const double candidate = data.value[std::size_t(drawn - cumulated.begin())];
      if (const double left = distances.sum_with(candidate); left < least) {
        least = left;
        best = candidate;
      }
    }
    levels.push_back(best);
    distances.add(best);
  }
  std::sort(levels.begin(), levels.end());
  return levels;
}

std::vector<double> first_levels(const SortedValues& data, int k, KMeansInit init) {
  const double low = data.value.front(), high = data.value.back();
  std::vector<double> levels;
  for (int j = 0; j < k; ++j) {
    const double part = double(j) / (k - 1);
    switch (init) {
      case KMeansInit::linear: levels.push_back(low + (high - low) * part); break;
      case KMeansInit::density: levels.push_back(quantile(data, part)); break;
      default: levels.push_back(quantile(data, (j + 0.5) / k)); break;
    }
  }
  return levels;
}

/// Lloyd's iteration, then levels moved to where they serve better and neighbours cut anew, until nothing helps. The
/// level nearest to zero is moved there first where that is asked for.
Codebook iterate(const SortedValues& data, std::vector<double> levels, bool pin_zero) {
  if (pin_zero)
    *std::min_element(levels.begin(), levels.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }) = 0.0;
  Codebook best = lloyd(data, std::move(levels), pin_zero);
  for (int move = 0; move < kMaxMoves; ++move) {
    std::vector<double> moved = best.levels;
    const std::size_t pinned = pin_zero ? zero_level(moved) : moved.size();
    if (!move_level(data, pinned, moved) && !recut_pair(data, pinned, moved)) break;
    Codebook candidate = lloyd(data, std::move(moved), pin_zero);
    if (!(candidate.inertia < best.inertia)) break;
    best = std::move(candidate);
  }
  return best;
}

}  // namespace

KMeansInit kmeans_init(std::string_view name) {
  if (name == "linear") return KMeansInit::linear;
  if (name == "density") return KMeansInit::density;
  if (name == "kmeans++") return KMeansInit::kmeans_pp;
  if (name == "dp") return KMeansInit::dp;
  QB_EXPECTS(name == "quantile");
  return KMeansInit::quantile;
}

Codebook kmeans(const SortedValues& data, int k, const KMeansOptions& options) {
  QB_EXPECTS(k >= 2);
  const bool has_zero = std::binary_search(data.value.begin(), data.value.end(), 0.0);
  if (data.count() + (options.pin_zero && !has_zero) <= std::size_t(k)) {
    Codebook exact{data.value, 0};
    if (options.pin_zero && !has_zero)
      exact.levels.insert(std::upper_bound(exact.levels.begin(), exact.levels.end(), 0.0), 0.0);
    return exact;
  }
  if (options.init == KMeansInit::dp) {
    Codebook optimum = kmeans_optimum(data, k);
    return options.pin_zero ? iterate(data, std::move(optimum.levels), true) : optimum;
  }
  if (options.init != KMeansInit::kmeans_pp)
    return iterate(data, first_levels(data, k, options.init), options.pin_zero);
  Codebook best;
  for (int run = 0; run < options.restarts; ++run) {
    Random random(options.seed, std::uint64_t(run));
    Codebook candidate = iterate(data, draw_levels(data, k, random), options.pin_zero);
    if (run == 0 || candidate.inertia < best.inertia) best = std::move(candidate);
  }
  return best;
}

namespace {

/// One row of the dynamic program: least[i] is the cost of the first i values in j + 1 clusters, split[i] the first
/// value of the last cluster. Fills i in [low, high], whose splits lie in [from, to]: splits never fall as i rises.
struct OptimumRow {
  const SortedValues& data;
  const std::vector<double>& before;
  std::vector<double>& least;
  std::uint32_t* split;

  void fill(std::size_t low, std::size_t high, std::size_t from, std::size_t to) const {
    if (low > high) return;
    const std::size_t i = low + (high - low) / 2;
    double best = INFINITY;
    std::size_t at = from;
    for (std::size_t s = from; s <= std::min(to, i - 1); ++s) {
      const double cost = before[s] + data.cost(s, i);
      if (cost < best) {
        best = cost;
        at = s;
      }
    }
    least[i] = best;
    split[i] = std::uint32_t(at);
    if (i > low) fill(low, i - 1, from, at);
    fill(i + 1, high, at, to);
  }
};

}  // namespace

Codebook kmeans_optimum(const SortedValues& data, int k) {
  const std::size_t n = data.count(), levels = std::min(std::size_t(k), n);
  QB_EXPECTS(k >= 1 && n * levels <= kOptimumCells);
  std::vector<double> before(n + 1, 0.0), least(n + 1, 0.0);
  for (std::size_t i = 1; i <= n; ++i) before[i] = data.cost(0, i);
  std::vector<std::uint32_t> splits(levels * (n + 1), 0);
  for (std::size_t j = 1; j < levels; ++j) {
    OptimumRow{data, before, least, splits.data() + j * (n + 1)}.fill(j + 1, n, j, n - 1);
    std::swap(before, least);
  }
  Codebook optimum;
  std::size_t end = n;
  for (std::size_t j = levels; j-- > 0;) {
    const std::size_t begin = j == 0 ? 0 : splits[j * (n + 1) + end];
    optimum.levels.push_back(data.mean(begin, end));
    end = begin;
  }
  std::reverse(optimum.levels.begin(), optimum.levels.end());
  optimum.inertia = inertia(data, optimum.levels);
  return optimum;
}

}  // namespace qb
