// The state of a run and what each request does to it: plan, scheduler, journal and the workers known. No sockets.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/journal.h"
#include "harness/plan.h"
#include "harness/scheduler.h"
#include "workers/wire/protocol.h"

namespace qb {

/// A request that cannot be granted, with the HTTP status that says so. Nothing has changed.
struct Refused : std::runtime_error {
  Refused(int http_status, const std::string& words) : std::runtime_error(words), status(http_status) {}
  int status;
};

/// A worker as the status page shows it.
struct WorkerRow {
  std::string id, name, machine_key, processor;
  std::int64_t registered_ns = 0, seen_ns = 0;
  Scheduler::Unit unit = 0;  ///< the last one it renewed or was granted
  std::string phase;         ///< of that unit; "" when idle
  std::int64_t settled = 0;
};

/// A settled unit as the status page shows it.
struct SettledRow {
  Scheduler::Unit unit = 0;
  Outcome outcome = Outcome::ok;
  std::string reason, worker, utc;
};

enum class OldLeases { keep, take_back };

/// Every request first changes the state here and is written to the journal; the caller answers only after commit()
/// returned true. While the journal cannot be written no request changes anything (503), and commit() tries again.
///
/// Belongs to one thread. Times are of the monotonic clock.
class Coordinator {
 public:
  /// Takes up what the journal holds. `keep` grants fresh time to leases of an earlier coordinator, whose workers may
  /// come back; `take_back` lets their units wait again, for workers that ended with it.
  /// Throws DataError when the journal does not fit the plan.
  Coordinator(const Plan& plan, Journal& journal, OldLeases old_leases, std::int64_t now_ns);

  RegistrationAnswer register_worker(const Registration& registration, std::int64_t now_ns);
  std::vector<Lease> lease(const LeaseRequest& request, std::int64_t now_ns);
  bool renew(std::string_view unit_id, const RenewRequest& request, std::int64_t now_ns);
  /// One answer per element of `results`; an element that cannot be read is `invalid` and harms no other.
  std::vector<ResultAnswer> receive(Json results, std::int64_t now_ns);
  void undelivered(const std::string& worker, const std::vector<Lease>& leases, std::int64_t now_ns);

  void worker_ended(const std::string& name, std::int64_t now_ns);  ///< a process that a launcher saw end
  void tick(std::int64_t now_ns);                                   ///< expires leases
  void drain() { scheduler_.drain(), draining_ = true; }
  bool draining() const { return draining_; }

  bool commit();  ///< false: the disk refuses; storage_fault() says why
  bool uncommitted() const { return journal_.pending() > 0; }
  const std::string& storage_fault() const { return storage_fault_; }
  void require_storage() const;  ///< throws Refused 503 while there is a storage fault

  const Plan& plan() const { return plan_; }
  const Scheduler& scheduler() const { return scheduler_; }
  const std::vector<WorkerRow>& workers() const { return workers_; }
  const std::deque<SettledRow>& recent() const { return recent_; }  ///< newest first, at most 20
  std::int64_t count(Outcome outcome) const { return outcomes_[std::size_t(outcome)]; }
  std::int64_t settled_before() const { return settled_before_; }  ///< by earlier coordinators
  std::int64_t started_ns() const { return started_ns_; }
  std::int64_t shadows() const { return shadows_; }
  bool over() const { return scheduler_.all_settled() || draining_; }
  /// What waits although no worker that is alive accepts it, in words; "" when there is nothing of the kind.
  std::string nobody_accepts(std::int64_t now_ns) const;
  /// True when nothing is leased and all that waits is of that kind.
  bool only_unaccepted_left(std::int64_t now_ns) const;

 private:
  Scheduler::Worker known_worker(const std::string& id) const;
  std::vector<bool> accepted_kinds(const std::string& processor, const std::string& host) const;
  std::optional<Scheduler::Unit> find_unit(std::string_view id) const;
  ResultAnswer receive_one(Json& result, const std::string& where, std::int64_t now_ns);
  void record(Scheduler::Unit unit, const Measurement& measurement, std::string text);
  void ended(const std::vector<Scheduler::Ended>& leases);
  void give_up(const Scheduler::Ended& lease);
  void restore(OldLeases old_leases, std::int64_t now_ns);

  const Plan& plan_;
  Journal& journal_;
  std::vector<std::string> kinds_;                                ///< distinct `match` texts; a unit's kind is an index
  std::vector<std::pair<std::uint64_t, Scheduler::Unit>> by_id_;  ///< sorted by the first bytes of the id
  Scheduler scheduler_;
  std::vector<WorkerRow> workers_;
  std::map<std::string, Scheduler::Worker, std::less<>> worker_by_id_;
  std::map<std::string, int, std::less<>> machines_;  ///< machine keys that registered workers have
  std::deque<SettledRow> recent_;
  std::array<std::int64_t, 5> outcomes_{};
  std::string storage_fault_;
  std::int64_t settled_before_ = 0, started_ns_ = 0, shadows_ = 0;
  bool draining_ = false;
};

}  // namespace qb
