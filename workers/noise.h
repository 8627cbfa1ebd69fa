// How quiet the machine was around a timed section (measurement.md, rule 12).
#pragma once
#include <cstdint>
#include <string>

#include "workers/records/measurement.h"

namespace qb {

/// Durations of a fixed integer loop of about 20 us, repeated 101 times on the calling thread.
struct SpinReading {
  double least_ns = kMissing, median_ns = kMissing;
};
SpinReading calibration_spin();

/// Counters of the calling thread and the machine at one instant. Sources that cannot be read are -1.
struct NoiseCounters {
  std::int64_t wall_ns = 0;
  std::int64_t thread_cpu_ns = 0;
  std::int64_t involuntary_switches = -1;
  std::int64_t run_ns = -1, wait_ns = -1;         ///< /proc/thread-self/schedstat
  std::int64_t steal_ticks = -1, all_ticks = -1;  ///< first line of /proc/stat
};
NoiseCounters read_noise_counters();

/// Everything read before a section; end_noise() reads again on the same thread and compares.
struct NoiseStart {
  SpinReading spin;
  NoiseCounters counters;
};
NoiseStart begin_noise();
NoiseRecord end_noise(const NoiseStart& start, int threads);

/// The record of a section between two readings. Pure; `marked` is set by noise_marks().
NoiseRecord compare_noise(const NoiseStart& before, const NoiseCounters& after, const SpinReading& spin_after,
                          int threads);

/// Why a section counts as noisy, joined by "; ", or empty: processor time below 0.98 of wall time (one thread only),
/// schedstat wait over 1 % of run, steal over 1 %, a calibration spin whose median is over 1.03 of its minimum, or
/// whose median drifted by over 2 %.
std::string noise_marks(const NoiseRecord& record, const SpinReading& before, const SpinReading& after, int threads);

}  // namespace qb
