#include "harness/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"

namespace qb {

Scheduler::Scheduler(std::vector<std::uint16_t> unit_kind, std::size_t kinds, const SchedulerLimits& limits)
    : limits_(limits), unit_(unit_kind.size()), waiting_(kinds) {
  for (std::size_t unit = 0; unit < unit_.size(); ++unit) {
    QB_EXPECTS(unit_kind[unit] < kinds);
    unit_[unit].kind = unit_kind[unit];
  }
  queue_waiting();
}

/// Every unit that is neither settled nor leased, those that never started first, else in plan order.
void Scheduler::queue_waiting() {
  for (std::deque<Unit>& queue : waiting_) queue.clear();
  for (const bool started : {false, true})
    for (Unit unit = 0; unit < unit_.size(); ++unit) {
      const UnitState& state = unit_[unit];
      if (state.settled || state.attempts.empty() == started) continue;
      if (started && state.attempts.back().end == AttemptEnd::live) continue;
      waiting_[state.kind].push_back(unit);
    }
}

std::int64_t Scheduler::advance(std::int64_t now_ns) { return now_ns_ = std::max(now_ns_, now_ns); }

void Scheduler::restore_attempt(Unit unit, const Attempt& attempt) {
  UnitState& state = unit_[unit];
  QB_EXPECTS(state.attempts.empty() || state.attempts.back().epoch < attempt.epoch);
  epoch_ = std::max(epoch_, attempt.epoch);
  state.attempts.push_back(attempt);
}

void Scheduler::restore_settled(Unit unit) { settle(unit); }

void Scheduler::restored(std::int64_t now_ns) {
  const std::int64_t now = advance(now_ns);
  for (Unit unit = 0; unit < unit_.size(); ++unit)
    if (!unit_[unit].attempts.empty() && unit_[unit].attempts.back().end == AttemptEnd::live)
      live_.push_back({unit, now + limits_.lease_ns});
  queue_waiting();
}

void Scheduler::join(Worker worker, std::vector<bool> accepts, std::int64_t now_ns) {
  QB_EXPECTS(accepts.size() == waiting_.size());
  if (worker >= worker_.size()) worker_.resize(worker + 1);
  worker_[worker] = {std::move(accepts), advance(now_ns), true};
}

bool Scheduler::alive(Worker worker, std::int64_t now_ns) const {
  const WorkerState& state = worker_[worker];
  return state.joined && std::max(now_ns_, now_ns) - state.seen_ns <= limits_.lease_ns;
}

bool Scheduler::somebody_accepts(std::size_t kind, std::int64_t now_ns) const {
  for (Worker worker = 0; worker < worker_.size(); ++worker)
    if (alive(worker, now_ns) && worker_[worker].accepts[kind]) return true;
  return false;
}

bool Scheduler::better_elsewhere(Unit unit, Worker worker, std::int64_t now_ns) const {
  const UnitState& state = unit_[unit];
  if (state.attempts.empty() || state.attempts.back().worker != worker ||
      state.attempts.back().end == AttemptEnd::abandoned)
    return false;
  for (Worker other = 0; other < worker_.size(); ++other)
    if (other != worker && alive(other, now_ns) && worker_[other].accepts[state.kind]) return true;
  return false;
}

std::optional<Scheduler::Unit> Scheduler::next_for(Worker worker, std::int64_t now_ns) {
  constexpr std::size_t kLook = 16;  // units at the head of each queue that are considered
  std::deque<Unit>* best_queue = nullptr;
  std::size_t best_at = 0;
  const auto order = [&](Unit unit) { return std::pair(!unit_[unit].attempts.empty(), unit); };
  for (std::size_t kind = 0; kind < waiting_.size(); ++kind) {
    if (!worker_[worker].accepts[kind]) continue;
    for (std::size_t at = 0; at < std::min(kLook, waiting_[kind].size()); ++at) {
      if (better_elsewhere(waiting_[kind][at], worker, now_ns)) continue;
      if (!best_queue || order(waiting_[kind][at]) < order((*best_queue)[best_at])) {
        best_queue = &waiting_[kind];
        best_at = at;
      }
      break;
    }
  }
  if (!best_queue) return std::nullopt;
  const Unit unit = (*best_queue)[best_at];
  best_queue->erase(best_queue->begin() + std::ptrdiff_t(best_at));
  return unit;
}

std::vector<Scheduler::Grant> Scheduler::lease(Worker worker, int count, std::int64_t now_ns) {
  const std::int64_t now = advance(now_ns);
  QB_EXPECTS(worker < worker_.size() && worker_[worker].joined);
  worker_[worker].seen_ns = now;
  std::vector<Grant> grants;
  while (!draining_ && int(grants.size()) < count) {
    const std::optional<Unit> unit = next_for(worker, now);
    if (!unit) break;
    grants.push_back({*unit, ++epoch_});
    unit_[*unit].attempts.push_back({epoch_, worker, AttemptEnd::live, {}});
    live_.push_back({*unit, now + limits_.lease_ns});
  }
  return grants;
}

bool Scheduler::renew(Worker worker, Unit unit, std::int64_t epoch, std::int64_t now_ns) {
  const std::int64_t now = advance(now_ns);
  if (worker < worker_.size()) worker_[worker].seen_ns = now;
  const Attempt* attempt = find_attempt(unit, epoch);
  if (!attempt || attempt->end != AttemptEnd::live || attempt->worker != worker) return false;
  for (LiveLease& lease : live_)
    if (lease.unit == unit) lease.expires_ns = now + limits_.lease_ns;
  return true;
}

Scheduler::Attempt* Scheduler::find_attempt(Unit unit, std::int64_t epoch) {
  for (Attempt& attempt : unit_[unit].attempts)
    if (attempt.epoch == epoch) return &attempt;
  return nullptr;
}

ResultDecision Scheduler::result(Unit unit, std::int64_t epoch, bool error, std::uint64_t digest, std::int64_t now_ns) {
  const std::int64_t now = advance(now_ns);
  Attempt* attempt = find_attempt(unit, epoch);
  if (!attempt) return ResultDecision::invalid;
  if (attempt->worker < worker_.size()) worker_[attempt->worker].seen_ns = now;
  if (std::find(attempt->results.begin(), attempt->results.end(), digest) != attempt->results.end())
    return ResultDecision::repeated;
  if (int(attempt->results.size()) >= limits_.results_per_lease) return ResultDecision::invalid;
  attempt->results.push_back(digest);
  const bool abandoned = attempt->end == AttemptEnd::abandoned && !error && !unit_[unit].settled;
  if (attempt->end != AttemptEnd::live && !abandoned) return ResultDecision::shadow;
  if (error)
    return end_attempt(unit, *attempt, AttemptEnd::error).given_up ? ResultDecision::quarantined
                                                                   : ResultDecision::retried;
  if (Attempt& last = unit_[unit].attempts.back(); last.end != AttemptEnd::live) {
    stop_waiting(unit);
  } else {
    last.end = AttemptEnd::abandoned;  // unless it is the one that is committed now
    forget_lease(unit);
  }
  attempt->end = AttemptEnd::committed;
  settle(unit);
  return ResultDecision::settled;
}

bool Scheduler::exhausted(Unit unit) const {
  const std::vector<Attempt>& attempts = unit_[unit].attempts;
  const auto ended = [&](AttemptEnd end) {
    return std::count_if(attempts.begin(), attempts.end(),
                         [end](const Attempt& attempt) { return attempt.end == end; });
  };
  return ended(AttemptEnd::error) >= limits_.errors || ended(AttemptEnd::died) >= limits_.deaths ||
         int(attempts.size()) >= limits_.starts;
}

Scheduler::Ended Scheduler::end_attempt(Unit unit, Attempt& attempt, AttemptEnd end) {
  attempt.end = end;
  forget_lease(unit);
  const bool given_up = exhausted(unit);
  if (given_up)
    settle(unit);
  else if (end == AttemptEnd::abandoned)
    waiting_[unit_[unit].kind].push_front(unit);
  else
    waiting_[unit_[unit].kind].push_back(unit);
  return {unit, attempt.epoch, end, given_up};
}

void Scheduler::settle(Unit unit) {
  QB_EXPECTS(!unit_[unit].settled);
  unit_[unit].settled = true;
  ++settled_;
}

void Scheduler::stop_waiting(Unit unit) {
  std::deque<Unit>& queue = waiting_[unit_[unit].kind];
  const auto found = std::find(queue.begin(), queue.end(), unit);
  QB_EXPECTS(found != queue.end());
  queue.erase(found);
}

std::optional<std::int64_t> Scheduler::live_epoch(Unit unit) const {
  const std::vector<Attempt>& attempts = unit_[unit].attempts;
  return !attempts.empty() && attempts.back().end == AttemptEnd::live ? std::optional(attempts.back().epoch)
                                                                      : std::nullopt;
}

void Scheduler::forget_lease(Unit unit) {
  const auto found =
      std::find_if(live_.begin(), live_.end(), [&](const LiveLease& lease) { return lease.unit == unit; });
  QB_EXPECTS(found != live_.end());
  *found = live_.back();
  live_.pop_back();
}

template <class Condition>
std::vector<Scheduler::Ended> Scheduler::end_leases(AttemptEnd end, Condition applies) {
  std::vector<Unit> units;
  for (const LiveLease& lease : live_)
    if (applies(lease)) units.push_back(lease.unit);
  std::sort(units.begin(), units.end());
  std::vector<Ended> ended;
  for (const Unit unit : units) ended.push_back(end_attempt(unit, unit_[unit].attempts.back(), end));
  return ended;
}

std::vector<Scheduler::Ended> Scheduler::expire(std::int64_t now_ns) {
  const std::int64_t now = advance(now_ns);
  return end_leases(AttemptEnd::died, [now](const LiveLease& lease) { return lease.expires_ns <= now; });
}

std::vector<Scheduler::Ended> Scheduler::lost(Worker worker, std::int64_t now_ns) {
  advance(now_ns);
  if (worker < worker_.size()) worker_[worker].joined = false;
  return end_leases(AttemptEnd::died,
                    [&](const LiveLease& lease) { return unit_[lease.unit].attempts.back().worker == worker; });
}

std::vector<Scheduler::Ended> Scheduler::take_back(Worker worker, std::int64_t now_ns) {
  advance(now_ns);
  return end_leases(AttemptEnd::abandoned,
                    [&](const LiveLease& lease) { return unit_[lease.unit].attempts.back().worker == worker; });
}

std::optional<Scheduler::Ended> Scheduler::take_back(const Grant& grant, std::int64_t now_ns) {
  advance(now_ns);
  Attempt* attempt = find_attempt(grant.unit, grant.epoch);
  if (!attempt || attempt->end != AttemptEnd::live) return std::nullopt;
  return end_attempt(grant.unit, *attempt, AttemptEnd::abandoned);
}

}  // namespace qb
