#include "workers/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr std::int64_t kFewestBlocks = 3;
constexpr std::int64_t kFewestWarmup = 10;
constexpr std::size_t kWindow = 5;
constexpr double kAgreement = 0.02;

double median(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2), sorted.end());
  return sorted[sorted.size() / 2];
}

/// Collects blocks and knows when there are enough of them.
class Series {
 public:
  Series(const SamplingRule& rule, const Clock& clock) : rule_(rule), clock_(clock), begin_ns_(clock()) {}

  double elapsed_ns() const { return double(clock_() - begin_ns_); }

  /// Runs and keeps one block; returns its length.
  double block(const std::function<void()>& run, std::int64_t iterations) {
    const std::int64_t begin = clock_();
    for (std::int64_t i = 0; i < iterations; ++i) run();
    const double time_ns = std::max(1.0, double(clock_() - begin));
    set_.time_ns.push_back(time_ns);
    set_.iterations.push_back(iterations);
    per_run_.push_back(time_ns / double(iterations));
    return time_ns;
  }
  void end_warmup() {
    set_.warmup = std::ssize(set_.time_ns);
    per_run_.clear();
  }
  std::span<const double> per_run() const { return per_run_; }

  /// Sets `stopped_by` and returns true once the samples after warm-up suffice.
  bool enough() {
    const auto n = std::ssize(per_run_);
    if (n < kFewestBlocks) return false;
    if (n >= rule_.min_samples && relative_half_width(per_run_) <= rule_.relative_width)
      set_.stopped_by = "width";
    else if (n >= rule_.max_samples)
      set_.stopped_by = "samples";
    else if (elapsed_ns() >= rule_.time_limit_ns)
      set_.stopped_by = "time";
    return !set_.stopped_by.empty();
  }
  SampleSet take() { return std::move(set_); }

 private:
  const SamplingRule& rule_;
  const Clock& clock_;
  std::int64_t begin_ns_;
  SampleSet set_;
  std::vector<double> per_run_;
};

/// Doubles the iterations until a block is long enough; returns the count that makes blocks at least `shortest_ns`.
std::int64_t calibrate(Series& series, const std::function<void()>& run, double shortest_ns) {
  constexpr std::int64_t kMost = std::int64_t(1) << 40;
  for (std::int64_t iterations = 1;; iterations *= 2) {
    const double time_ns = series.block(run, iterations);
    if (time_ns < shortest_ns && iterations < kMost) continue;
    const double wanted = std::ceil(1.1 * shortest_ns / (time_ns / double(iterations)));
    return std::clamp<std::int64_t>(std::int64_t(wanted), 1, 2 * iterations);
  }
}

}  // namespace

TimerFacts measure_timer(const Clock& clock) {
  constexpr int kBatches = 21, kReads = 1000;
  double resolution_ns = std::numeric_limits<double>::infinity();
  std::vector<double> costs_ns;
  for (int batch = 0; batch < kBatches; ++batch) {
    const std::int64_t begin = clock();
    std::int64_t last = begin;
    for (int i = 0; i < kReads; ++i) {
      const std::int64_t now = clock();
      if (now > last) resolution_ns = std::min(resolution_ns, double(now - last));
      last = now;
    }
    costs_ns.push_back(double(last - begin) / kReads);
  }
  return {std::isfinite(resolution_ns) ? resolution_ns : 1, median(costs_ns)};
}

double shortest_block_ns(const TimerFacts& timer) { return std::max(1e4 * timer.cost_ns, 1e3 * timer.resolution_ns); }

double relative_half_width(std::span<const double> values) {
  const auto n = std::ssize(values);
  if (n < 6) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  // Ranks n/2 -+ 1.96 sqrt(n)/2 of the binomial's normal approximation, widened to whole ranks.
  const auto reach = std::ptrdiff_t(std::ceil(0.98 * std::sqrt(double(n))));
  const double low = sorted[std::size_t(std::max<std::ptrdiff_t>((n - 1) / 2 - reach, 0))];
  const double high = sorted[std::size_t(std::min<std::ptrdiff_t>(n / 2 + reach, n - 1))];
  return (high - low) / 2 / sorted[std::size_t(n / 2)];
}

bool stationary(std::span<const double> per_run_ns) {
  if (per_run_ns.size() < 2 * kWindow) return false;
  const double last = median(per_run_ns.last(kWindow));
  const double before = median(per_run_ns.last(2 * kWindow).first(kWindow));
  return std::abs(last - before) <= kAgreement * before;
}

SampleSet sample_hot(const std::function<void()>& run, const SamplingRule& rule, const TimerFacts& timer,
                     const Clock& clock) {
  QB_EXPECTS(rule.min_samples >= 1 && rule.max_samples >= rule.min_samples);
  Series series(rule, clock);
  const double shortest_ns = shortest_block_ns(timer);
  std::int64_t iterations = calibrate(series, run, shortest_ns);
  series.end_warmup();  // the ramp of iteration counts says nothing about stationarity
  std::int64_t warm = 0;
  while (series.elapsed_ns() < rule.time_limit_ns / 3 && (warm < kFewestWarmup || !stationary(series.per_run()))) {
    series.block(run, iterations);
    ++warm;
  }
  // Warm runs are shorter than those that the count was found with.
  if (warm > 0)
    iterations = std::max(iterations, std::int64_t(std::ceil(1.1 * shortest_ns / median(series.per_run()))));
  series.end_warmup();
  while (!series.enough()) {
    if (series.block(run, iterations) >= shortest_ns) continue;
    iterations *= 2;  // the machine was slower when the count was found
    series.end_warmup();
  }
  return series.take();
}

SampleSet sample_cold(const std::function<void()>& run, const std::function<void()>& chill, const SamplingRule& rule,
                      const Clock& clock) {
  QB_EXPECTS(rule.min_samples >= 1 && rule.max_samples >= rule.min_samples);
  Series series(rule, clock);
  chill();
  series.block(run, 1);
  series.end_warmup();
  while (!series.enough()) {
    chill();
    series.block(run, 1);
  }
  return series.take();
}

}  // namespace qb
