// One unit in a process of its own: started, fed, watched, ended.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "workers/records/measurement.h"
#include "workers/records/unit.h"

namespace qb {

/// What the child is told on its standard input: the unit, and where each of its files lies (by digest, already
/// verified).
struct ChildJob {
  WorkUnit unit;
  std::map<std::string, std::string> files;  ///< sha256 → path
};
Json to_json(const ChildJob& job);
ChildJob job_from_json(const Json& value, const std::string& where);  ///< throws DataError

struct ChildCommand {
  std::vector<std::string> arguments;  ///< program (a path) first
  std::string isa = "best";            ///< QUANTBENCH_ISA of the child, unless this process has a narrower cap itself
  UnitLimits limits;
  std::string input;  ///< bytes for its standard input
};

struct ChildEnd {
  std::string result;  ///< what followed the word `result`; empty when it never came
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;  ///< it was ended because its time was over
  bool stopped = false;    ///< it was ended because stop() was called
  std::string complaint;   ///< the last 2000 bytes of its standard error, as one line
};

/// A running child in a process group of its own, with an address-space limit and without core dumps. It dies with this
/// process, however that ends; the destructor ends it at once.
///
/// It speaks on descriptor 3, line by line: `phase NAME`, and `result JSON` once. Its time runs except in the phase
/// "wait", in which it waits for the host's lock. At the deadline its group gets SIGTERM, and 5 s later SIGKILL.
class Child {
 public:
  explicit Child(const ChildCommand& command);  ///< throws InputError when the system refuses another process
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Moves bytes and keeps time for at most `patience`; true once the child has ended and everything it said was read.
  /// Returns early when `wake` (a descriptor, or -1) becomes readable.
  bool serve(std::chrono::milliseconds patience, int wake = -1);
  void stop();  ///< ends the group as at the deadline; serve() goes on until it is gone
  const std::string& phase() const { return phase_; }
  const ChildEnd& end() const { return end_; }

 private:
  void feed();
  void hear();
  void take_lines();
  void keep_time();
  void signal_group(int signal);
  bool collect();

  pid_t process_ = -1;
  int input_ = -1, output_ = -1, complaints_ = -1;
  std::string pending_, heard_, phase_;
  std::int64_t deadline_ns_ = 0, wait_since_ns_ = 0, kill_at_ns_ = 0;
  ChildEnd end_;
};

/// What became of a unit whose child ended so. A result is believed only when it reads well and is about this unit;
/// else the outcome is timed_out, or failed in passing with the signal's name, the exit code and the child's last
/// words.
Measurement outcome_of(const ChildEnd& end, const WorkUnit& unit);

/// The child's own side: reads a ChildJob from standard input, measures, and speaks on descriptor 3. Returns the exit
/// code.
int run_child();

}  // namespace qb
