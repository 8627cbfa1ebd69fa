// Work on bytes that nobody vouches for, in a child process that may crash, hang or eat memory without harm.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace qb {

struct ChildLimits {
  int seconds = 60;  ///< wall time and processor time
  std::uint64_t memory_bytes =
      0;  ///< address space beyond what this process has now; 0: none (always none under sanitizers)
};

/// What became of the child. Not finished: `message` says how it ended ("was ended by signal 11"). Finished: the
/// message of the exception that left `work`, or empty when none did.
struct ChildReport {
  bool finished = false;
  std::string message;
};

/// Runs `work` in a forked child and waits for it. Only the message comes back. Throws InputError when no process can
/// be made.
ChildReport run_guarded(const ChildLimits& limits, const std::function<void()>& work);

}  // namespace qb
