// Decides which worker measures what. Knows no sockets, files or clocks: callers bring events and the time, so that a
// test can replay years of failures in a second.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace qb {

/// How one start of a unit ended; stored in the journal as its number.
enum class AttemptEnd : std::uint8_t {
  live = 0,       ///< leased
  committed = 1,  ///< its result is the record
  error = 2,      ///< its result said timed out, or failed for a cause that may pass
  died = 3,       ///< the worker fell silent or was seen to end
  abandoned = 4,  ///< taken back without the worker's fault: undelivered, or the coordinator that owned it ended
};

/// What one result message came to.
enum class ResultDecision : std::uint8_t {
  settled,      ///< it is the unit's record
  quarantined,  ///< it is the unit's record, and the last of too many errors
  retried,      ///< an error; kept, and the unit waits again
  repeated,     ///< the same bytes were received before
  shadow,       ///< late or different; kept, and changes nothing
  invalid,      ///< never granted, or more different results under one lease than anybody has a use for
};

struct SchedulerLimits {
  std::int64_t lease_ns = 120'000'000'000;  ///< without a renewal for so long a lease expires
  int errors = 3, deaths = 3, starts = 6;   ///< a unit that reaches one of them is given up
  int results_per_lease = 4;                ///< different results kept under one epoch
};

/// Invariants: a unit is waiting, leased under exactly one live epoch, or settled; a settled unit never changes; no
/// unit starts more than `starts` times; an epoch is granted once and never again. Time never runs backwards in here:
/// an earlier `now_ns` than one seen before counts as that one.
class Scheduler {
 public:
  using Unit = std::uint32_t;    ///< index into the plan
  using Worker = std::uint32_t;  ///< named by the caller in order of arrival, never reused

  struct Grant {
    Unit unit = 0;
    std::int64_t epoch = 0;
  };
  struct Attempt {
    std::int64_t epoch = 0;
    Worker worker = 0;
    AttemptEnd end = AttemptEnd::live;
    std::vector<std::uint64_t> results;  ///< digests of what was received under this epoch
  };
  struct Ended {
    Unit unit = 0;
    std::int64_t epoch = 0;
    AttemptEnd end = AttemptEnd::died;
    bool given_up = false;  ///< the unit is settled by this; the caller writes its record
  };

  /// `unit_kind[u]` says by which rule unit u chooses its workers; kinds are 0 .. kinds - 1.
  Scheduler(std::vector<std::uint16_t> unit_kind, std::size_t kinds, const SchedulerLimits& limits = {});

  // What an earlier coordinator wrote down, told before anything else: attempts of a unit in rising epoch, then which
  // units are settled, then restored(). Live leases get fresh time. Workers need not join again to renew or answer.
  void restore_attempt(Unit unit, const Attempt& attempt);
  void restore_settled(Unit unit);
  void restored(std::int64_t now_ns);

  void join(Worker worker, std::vector<bool> accepts, std::int64_t now_ns);  ///< accepts[kind]
  /// Up to `count` units that wait and that the worker accepts, in plan order but for units that start again, which
  /// come after all others and go to another worker than the one they failed on while there is one.
  std::vector<Grant> lease(Worker worker, int count, std::int64_t now_ns);
  bool renew(Worker worker, Unit unit, std::int64_t epoch, std::int64_t now_ns);  ///< false: no longer yours
  /// A result of a live lease settles the unit, or counts as an error that another start may mend. A good result of an
  /// abandoned lease settles it too when nothing did since: the work was done, and a lease of the same unit that lives
  /// now ends as abandoned. All other results of leases that ended are shadows.
  ResultDecision result(Unit unit, std::int64_t epoch, bool error, std::uint64_t digest, std::int64_t now_ns);
  std::vector<Ended> expire(std::int64_t now_ns);
  std::vector<Ended> lost(Worker worker, std::int64_t now_ns);       ///< the worker was seen to end
  std::vector<Ended> take_back(Worker worker, std::int64_t now_ns);  ///< all its leases end as abandoned
  std::optional<Ended> take_back(const Grant& grant, std::int64_t now_ns);
  void drain() { draining_ = true; }  ///< no more leases; renewals and results go on

  std::size_t units() const { return unit_.size(); }
  std::size_t settled() const { return settled_; }
  std::size_t leased() const { return live_.size(); }
  std::size_t waiting() const { return units() - settled_ - leased(); }
  bool all_settled() const { return settled_ == units(); }
  bool is_settled(Unit unit) const { return unit_[unit].settled; }
  int starts(Unit unit) const { return int(unit_[unit].attempts.size()); }
  const std::vector<Attempt>& attempts(Unit unit) const { return unit_[unit].attempts; }
  std::int64_t last_epoch() const { return epoch_; }
  std::optional<std::int64_t> live_epoch(Unit unit) const;
  std::size_t waiting_of_kind(std::size_t kind) const { return waiting_[kind].size(); }
  bool somebody_accepts(std::size_t kind, std::int64_t now_ns) const;  ///< a worker heard of within the lease time
  bool alive(Worker worker, std::int64_t now_ns) const;

 private:
  struct UnitState {
    std::vector<Attempt> attempts;
    std::uint16_t kind = 0;
    bool settled = false;
  };
  struct LiveLease {
    Unit unit;
    std::int64_t expires_ns;
  };
  struct WorkerState {
    std::vector<bool> accepts;
    std::int64_t seen_ns = 0;
    bool joined = false;
  };

  std::int64_t advance(std::int64_t now_ns);
  Attempt* find_attempt(Unit unit, std::int64_t epoch);
  std::optional<Unit> next_for(Worker worker, std::int64_t now_ns);
  bool better_elsewhere(Unit unit, Worker worker, std::int64_t now_ns) const;
  Ended end_attempt(Unit unit, Attempt& attempt, AttemptEnd end);
  bool exhausted(Unit unit) const;
  void settle(Unit unit);
  void stop_waiting(Unit unit);
  void forget_lease(Unit unit);
  void queue_waiting();
  template <class Condition>
  std::vector<Ended> end_leases(AttemptEnd end, Condition applies);

  SchedulerLimits limits_;
  std::vector<UnitState> unit_;
  std::vector<WorkerState> worker_;
  std::vector<std::deque<Unit>> waiting_;  ///< per kind: first starts in plan order, then second and later starts
  std::vector<LiveLease> live_;
  std::size_t settled_ = 0;
  std::int64_t epoch_ = 0, now_ns_ = 0;
  bool draining_ = false;
};

}  // namespace qb
