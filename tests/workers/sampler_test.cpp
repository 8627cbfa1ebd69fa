// Sampling under a clock that the test moves.
#include "workers/sampler.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "kernels/base/random.h"
#include "workers/noise.h"

namespace qb {
namespace {

/// A clock that moves only when told, and costs nothing to read.
struct FakeTime {
  std::int64_t now = 0;
  Clock clock() {
    return [this] { return now; };
  }
};

constexpr TimerFacts kTimer{1.0, 20.0};  // shortest block: 200 us by cost, 1 us by resolution

TEST_CASE("the timer's step and cost are found") {
  std::int64_t now = 0;
  const TimerFacts facts = measure_timer([&] { return now += 25; });
  CHECK(facts.resolution_ns == 25);
  CHECK(facts.cost_ns == doctest::Approx(25));
  CHECK(shortest_block_ns({100, 20}) == 2e5);
  CHECK(shortest_block_ns({1000, 20}) == 1e6);
}

TEST_CASE("blocks are long enough for the clock, and a steady run stops by width") {
  FakeTime time;
  const auto run = [&] { time.now += 1000; };
  const SampleSet set = sample_hot(run, {15, 200, 0.02, 1e9}, kTimer, time.clock());
  CHECK(set.stopped_by == "width");
  REQUIRE(std::ssize(set.time_ns) == set.warmup + 15);
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i) {
    CHECK(set.time_ns[i] >= 2e5);
    CHECK(set.time_ns[i] == 1000.0 * double(set.iterations[i]));
  }
}

TEST_CASE("warm-up lasts until runs are stationary and is kept") {
  FakeTime time;
  int runs = 0;
  const auto run = [&] {
    time.now += 1'000'000 + std::max(0, 40 - runs++) * 100'000;
  };  // slow at first, steady from run 40 on
  const SampleSet set = sample_hot(run, {15, 200, 0.02, 1e9}, kTimer, time.clock());
  CHECK(set.warmup >= 40);
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i)
    CHECK(set.time_ns[i] / double(set.iterations[i]) < 1.5e6);
}

TEST_CASE("runs that get shorter when warm still fill their blocks") {
  FakeTime time;
  int runs = 0;
  const auto run = [&] { time.now += runs++ < 5 ? 250'000 : 1000; };
  const SampleSet set = sample_hot(run, {15, 200, 0.02, 1e9}, kTimer, time.clock());
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i) CHECK(set.time_ns[i] >= 2e5);
}

TEST_CASE("a machine that gets faster while samples are taken gets longer blocks") {
  FakeTime time;
  int runs = 0;
  const auto run = [&] { time.now += runs++ < 20 ? 250'000 : 1000; };
  const SampleSet set = sample_hot(run, {15, 200, 0.02, 1e9}, kTimer, time.clock());
  CHECK(runs > 20);
  CHECK(std::ssize(set.time_ns) - set.warmup >= 3);
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i) CHECK(set.time_ns[i] >= 2e5);
}

TEST_CASE("one interruption does not make the timer expensive") {
  std::int64_t now = 0, reads = 0;
  const TimerFacts facts = measure_timer([&] { return now += reads++ == 5000 ? 10'000'000 : 25; });
  CHECK(facts.cost_ns == 25);
}

TEST_CASE("a restless run stops at its samples, a slow one at its time") {
  FakeTime time;
  Random random(1);
  const auto restless = [&] { time.now += 1'000'000 + std::int64_t(random.below(1'000'000)); };
  const SampleSet many = sample_hot(restless, {15, 40, 0.001, 1e12}, kTimer, time.clock());
  CHECK(many.stopped_by == "samples");
  CHECK(std::ssize(many.time_ns) - many.warmup == 40);
  const auto slow = [&] { time.now += 900'000'000; };
  const SampleSet few = sample_hot(slow, {15, 40, 0.001, 1e9}, kTimer, time.clock());
  CHECK(few.stopped_by == "time");
  CHECK(std::ssize(few.time_ns) - few.warmup == 3);
}

TEST_CASE("every cold run is chilled, and chilling is not timed") {
  FakeTime time;
  int chilled = 0, runs = 0;
  const auto chill = [&] {
    ++chilled;
    time.now += 50'000;
  };
  const auto run = [&] {
    ++runs;
    CHECK(chilled == runs);
    time.now += 7000;
  };
  const SampleSet set = sample_cold(run, chill, {7, 100, 0.02, 1e9}, time.clock());
  CHECK(set.warmup == 1);
  CHECK(std::ssize(set.time_ns) == 8);
  for (const double block : set.time_ns) CHECK(block == 7000);
  for (const std::int64_t iterations : set.iterations) CHECK(iterations == 1);
}

TEST_CASE("the interval of the median covers it about as often as it says") {
  // 2000 trials of 25 values with median 0.5: between two order statistics at ranks of a normal approximation that is
  // widened outwards, coverage is at least 95 %; the trials' deviation is sqrt(0.05 * 0.95 / 2000) = 0.5 %.
  int covered = 0;
  constexpr int kTrials = 2000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Random random(std::uint64_t(trial) + 1);
    std::vector<double> values(25);
    for (double& x : values) x = random.uniform();
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const double median = sorted[12], half = relative_half_width(values) * median;
    // The half width belongs to an interval [low, high] with these ranks: 12 -+ ceil(0.98 * 5).
    CHECK(half == doctest::Approx((sorted[17] - sorted[7]) / 2));
    if (sorted[7] <= 0.5 && 0.5 <= sorted[17]) ++covered;
  }
  CHECK(covered >= int(0.94 * kTrials));
  CHECK(std::isnan(relative_half_width(std::vector<double>(5, 1.0))));
}

TEST_CASE("a quiet section has no marks, and each disturbance has its own") {
  const SpinReading calm{1000, 1001};
  NoiseRecord record;
  record.cpu_over_wall = 0.999;
  record.wait_over_run = 0.001;
  record.steal = 0;
  CHECK(noise_marks(record, calm, calm, 1).empty());
  record.cpu_over_wall = 0.5;
  CHECK(noise_marks(record, calm, calm, 1) == "processor time is 0.500 of wall time");
  CHECK(noise_marks(record, calm, calm, 2).empty());
  record.cpu_over_wall = 1;
  record.wait_over_run = 0.02;
  CHECK(noise_marks(record, calm, calm, 1).find("waited") != std::string::npos);
  record.wait_over_run = 0;
  CHECK(noise_marks(record, {1000, 1050}, {1000, 1050}, 1).find("minimum") != std::string::npos);
  CHECK(noise_marks(record, calm, {1030, 1031}, 1).find("+3.0 %") != std::string::npos);
  record.steal = 0.5;
  CHECK(noise_marks(record, calm, calm, 1).find("stolen") != std::string::npos);
  CHECK(noise_marks(NoiseRecord{}, {}, {}, 1).empty());
}

TEST_CASE("counters of this machine give a record that can be stored") {
  const NoiseStart start = begin_noise();
  const NoiseRecord record = end_noise(start, 1);
  CHECK(record.spin_before_ns > 0);
  CHECK(record.cpu_over_wall > 0);
  CHECK(record.cpu_over_wall < 1.5);
  CHECK(record.involuntary_switches >= 0);
}

}  // namespace
}  // namespace qb
