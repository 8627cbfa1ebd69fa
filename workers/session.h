// A worker's life: register, lease, measure in a child, keep and send results, go on whatever happens to the
// coordinator.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "workers/child.h"
#include "workers/file_source.h"
#include "workers/records/hardware_profile.h"
#include "workers/wire/http_client.h"
#include "workers/wire/protocol.h"

namespace qb {

/// When to renew a lease, and when to give it up. Pure: callers bring the time.
class Heartbeat {
 public:
  Heartbeat(double every_s, double silence_s, double now_s)
      : every_s_(every_s), silence_s_(silence_s), sent_s_(now_s), heard_s_(now_s) {}
  double next_s() const { return sent_s_ + every_s_; }  ///< when the next renewal is due
  bool silent(double now_s) const { return now_s - heard_s_ >= silence_s_; }
  void sent(double now_s) { sent_s_ = now_s; }
  /// The coordinator acknowledged a renewal that was sent at `sent_s`: its lease runs from then at the earliest.
  void acknowledged(double sent_s) { heard_s_ = sent_s; }

 private:
  double every_s_, silence_s_, sent_s_, heard_s_;
};

struct SessionOptions {
  Endpoint endpoint;
  std::string name;  ///< for people
  HardwareProfile profile;
  std::vector<std::filesystem::path> roots;  ///< data folders
  std::filesystem::path cache, spool;
  std::vector<std::string> child;  ///< program and arguments that measure one unit
  bool once = false;               ///< ends after the first unit
  double idle_timeout_s = 0;       ///< ends after so long without a unit; 0: never
  double death_timeout_s = 0;      ///< gives up after so long without a coordinator; 0: never
  double drain_s = 100;            ///< after SIGTERM a unit has so long to end
  double lease_wait_s = 5;         ///< how long one request for units may be held
  double heartbeat_s = kHeartbeatSeconds;
  double silence_s = kSilenceSeconds;
  std::function<void(const std::string&)> say;  ///< one line for the log
};

/// Asks a running session to end. The first request lets the unit in progress end within drain_s; the second abandons
/// it. May be called from a signal handler.
void request_drain();

/// Runs until the run is over (410), a limit of the options is reached, or request_drain(). Returns an exit code.
/// Throws InputError when the coordinator refuses the token or the protocol version, or is not there for
/// death_timeout_s.
int run_session(const SessionOptions& options);

}  // namespace qb
