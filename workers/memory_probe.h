// Resident memory of a process, and a pass of its own to see the peak of one piece of work.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace qb {

struct MemoryPass {
  std::int64_t peak_bytes = -1;
  std::string missing;  ///< why there is no number; empty when there is one
};

/// The peak resident set of `work` in a forked copy of this process, after `release` gave back what the work does not
/// need. VmHWM is reset between the two and cross-checked with what wait4 reports.
///
/// The caller must have no other thread. The copy is killed after `limit_s`. Errors of the work are in `missing`.
MemoryPass measure_peak(const std::function<void()>& release, const std::function<void()>& work, double limit_s);

}  // namespace qb
