// Timed blocks: how long, how many, when to stop (measurement.md, rules 6 to 9).
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "workers/records/measurement.h"

namespace qb {

using Clock = std::function<std::int64_t()>;  ///< nanoseconds, never falling

/// What reading the clock costs, and the smallest step it was seen to make.
struct TimerFacts {
  double resolution_ns = 0, cost_ns = 0;
};
TimerFacts measure_timer(const Clock& clock);

/// A block of this length spans 1000 clock steps and makes the timer cost 1e-4 of it.
double shortest_block_ns(const TimerFacts& timer);

struct SamplingRule {
  std::int64_t min_samples = 15, max_samples = 200;
  double relative_width = 0.02;
  double time_limit_ns = 1e9;  ///< warm-up included
};

/// The half width of the distribution-free 95 % interval of the median, over the median; NaN below 6 values, where no
/// two order statistics enclose the median with such confidence. Source: Hahn and Meeker, Statistical Intervals (1991),
/// ch. 5.
double relative_half_width(std::span<const double> values);

/// True when the medians of the last five and of the five before agree within 2 %.
bool stationary(std::span<const double> per_run_ns);

/// Blocks of equal iteration counts on warm buffers. Calibration and warm-up come first and are kept, counted in
/// `warmup`. Warm-up lasts at least ten blocks and at most a third of the time limit. At least three blocks follow,
/// whatever the limits say: a median needs them.
SampleSet sample_hot(const std::function<void()>& run, const SamplingRule& rule, const TimerFacts& timer,
                     const Clock& clock);

/// Single runs, each after `chill()` outside the clock; the first is warm-up. At least three follow. The timer's cost
/// may exceed 1e-4 of so short a block; the profile says what it is.
SampleSet sample_cold(const std::function<void()>& run, const std::function<void()>& chill, const SamplingRule& rule,
                      const Clock& clock);

}  // namespace qb
