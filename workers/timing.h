// The timed section of a unit: alone on the host, pinned, hot and cold, with a record of the machine's noise.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/executor.h"
#include "workers/records/hardware_profile.h"
#include "workers/records/measurement.h"
#include "workers/records/unit.h"
#include "workers/sampler.h"

namespace qb {

struct Timing {
  SampleSet hot, cold;
  NoiseRecord noise;
  TimerFacts timer;
};

/// Times executor.run(input). Waits for the host's lock in the phase "wait", then times in the phase "time". A noisy
/// launch is discarded and repeated, at most three times and while the unit's time limit has room for one more.
/// Throws Unsupported when this process may not use as many processors as the unit has threads.
Timing time_unit(Executor& executor, const Tensor& input, const WorkUnit& unit, std::int64_t last_level_bytes,
                 const std::function<void(std::string_view)>& progress);

/// Why the times cannot be true, or empty: blocks below the timer's floor, more operations per second than the
/// machine's measured peak, or cold weights read faster than its memory. Peaks of 0 (never measured) refute nothing.
/// The margins are 1.25 for arithmetic and 2 for memory, whose measured peak moves by 30 % on shared machines.
std::string implausible(const Timing& timing, const HardwareProfile& profile, double operations, double weight_bytes);

/// Share of one run that each weighted node takes, by an observer over some runs: sums of times, in the order of
/// Executor::layers(). The observer is removed in the end.
std::vector<double> time_shares(Executor& executor, const Tensor& input);

}  // namespace qb
