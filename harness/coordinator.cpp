#include "harness/coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "kernels/base/clock.h"
#include "kernels/base/digest.h"
#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr std::size_t kRecent = 20;
constexpr std::size_t kMaxWorkers = 100'000;

std::vector<std::string> match_texts(const Study& study) {
  std::vector<std::string> texts;
  for (const HardwareEntry& entry : study.hardware)
    if (std::find(texts.begin(), texts.end(), entry.match) == texts.end()) texts.push_back(entry.match);
  return texts;
}

std::vector<std::uint16_t> kinds_of_units(const Plan& plan, const std::vector<std::string>& kinds) {
  std::vector<std::uint16_t> of_hardware;
  for (const HardwareEntry& entry : plan.study.hardware)
    of_hardware.push_back(std::uint16_t(std::find(kinds.begin(), kinds.end(), entry.match) - kinds.begin()));
  std::vector<std::uint16_t> result;
  result.reserve(plan.units.size());
  for (const PlannedUnit& unit : plan.units) result.push_back(of_hardware[unit.point.hardware]);
  return result;
}

std::uint64_t first_64_bits(const std::string& hex) {
  std::uint64_t value = 0;
  std::from_chars(hex.data(), hex.data() + 16, value, 16);
  return value;
}

/// The first eight bytes of an id. Looking for the unit of an id stays within one dense array until it is all but
/// found.
std::uint64_t id_key(const UnitId& id) {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < sizeof key; ++i) key = key << 8 | id[i];
  return key;
}

/// Another start may end differently. What the unit itself failed by would only fail again.
bool worth_another_start(const Measurement& measurement) {
  return measurement.outcome == Outcome::timed_out || measurement.passing;
}

}  // namespace

Coordinator::Coordinator(const Plan& plan, Journal& journal, OldLeases old_leases, std::int64_t now_ns)
    : plan_(plan),
      journal_(journal),
      kinds_(match_texts(plan.study)),
      by_id_(plan.units.size()),
      scheduler_(kinds_of_units(plan, kinds_), kinds_.size()),
      started_ns_(now_ns) {
  for (Scheduler::Unit unit = 0; unit < by_id_.size(); ++unit) by_id_[unit] = {id_key(plan_.units[unit].id), unit};
  std::sort(by_id_.begin(), by_id_.end());
  restore(old_leases, now_ns);
}

void Coordinator::restore(OldLeases old_leases, std::int64_t now_ns) {
  const auto doubt = [](bool good, const char* what) {
    if (!good)
      throw DataError(
          fmt::format("the run's journal does not fit its plan: {}; move it away to begin the run anew", what));
  };
  for (const JournalWorker& row : journal_.workers()) {
    doubt(row.worker == workers_.size(), "its workers are not numbered in order");
    const HardwareProfile profile = profile_from_json(parse_json(row.profile, "journal", Blame::peer),
                                                      fmt::format("journal, worker '{}'", row.id), Blame::peer);
    workers_.push_back({.id = row.id,
                        .name = row.name,
                        .machine_key = profile.machine_key,
                        .processor = profile.cpu_model,
                        .phase = {}});
    worker_by_id_[row.id] = row.worker;
    machines_[profile.machine_key] = 1;
  }
  journal_.attempts([&](Scheduler::Unit unit, const Scheduler::Attempt& attempt) {
    doubt(unit < plan_.units.size() && attempt.end <= AttemptEnd::abandoned && attempt.worker < workers_.size(),
          "an attempt names a unit or worker that is not there");
    const auto& earlier = scheduler_.attempts(unit);
    doubt(earlier.empty() || earlier.back().end != AttemptEnd::live, "a unit was leased twice at once");
    scheduler_.restore_attempt(unit, attempt);
  });
  journal_.settled([&](Scheduler::Unit unit, std::string_view text) {
    doubt(unit < plan_.units.size() && !scheduler_.is_settled(unit), "a record names a unit that is not there");
    const auto& attempts = scheduler_.attempts(unit);
    doubt(attempts.empty() || attempts.back().end != AttemptEnd::live, "a settled unit is still leased");
    const Measurement measurement =
        measurement_from_json(parse_json(text, "journal", Blame::peer), "journal", Blame::peer);
    ++outcomes_[std::size_t(measurement.outcome)];
    scheduler_.restore_settled(unit);
  });
  scheduler_.restored(now_ns);
  settled_before_ = std::int64_t(scheduler_.settled());
  shadows_ = journal_.shadow_count();
  if (old_leases == OldLeases::take_back)
    for (Scheduler::Worker worker = 0; worker < workers_.size(); ++worker) ended(scheduler_.take_back(worker, now_ns));
}

void Coordinator::require_storage() const {
  if (!storage_fault_.empty())
    throw Refused(503, storage_fault_ + "; nothing is granted or acknowledged until it can be written");
}

bool Coordinator::commit() {
  try {
    journal_.commit();
    storage_fault_.clear();
    return true;
  } catch (const StorageError& error) {
    storage_fault_ = error.what();
    return false;
  }
}

std::vector<bool> Coordinator::accepted_kinds(const std::string& processor, const std::string& host) const {
  std::vector<bool> accepts;
  for (const std::string& match : kinds_)
    accepts.push_back(processor.find(match) != std::string::npos || host.find(match) != std::string::npos);
  return accepts;
}

RegistrationAnswer Coordinator::register_worker(const Registration& registration, std::int64_t now_ns) {
  if (registration.protocol != kProtocolVersion)
    throw Refused(
        409,
        fmt::format("the worker speaks protocol version {}, this coordinator version {}; use the same build of both",
                    registration.protocol, kProtocolVersion));
  require_storage();
  const std::string id = sha256_hex("quantbench worker " + registration.incarnation).substr(0, 16);
  const auto known = worker_by_id_.find(id);
  const Scheduler::Worker worker = known == worker_by_id_.end() ? Scheduler::Worker(workers_.size()) : known->second;
  if (worker >= kMaxWorkers)
    throw Refused(503, fmt::format("{} workers have registered; this run takes no more", kMaxWorkers));
  const HardwareProfile& profile = registration.profile;
  if (worker == workers_.size())
    workers_.push_back({.id = id, .name = {}, .machine_key = {}, .processor = {}, .phase = {}});
  WorkerRow& row = workers_[worker];
  row.name = registration.name;
  row.machine_key = profile.machine_key;
  row.processor = profile.cpu_model;
  row.registered_ns = row.seen_ns = now_ns;
  worker_by_id_[id] = worker;
  machines_[profile.machine_key] = 1;
  scheduler_.join(worker, accepted_kinds(profile.cpu_model, profile.host), now_ns);
  journal_.add_worker({worker, id, registration.name, canonical_text(to_json(profile))});
  return {.worker = id, .lease_seconds = kLeaseSeconds};
}

Scheduler::Worker Coordinator::known_worker(const std::string& id) const {
  const auto found = worker_by_id_.find(id);
  if (found == worker_by_id_.end())
    throw Refused(404, fmt::format("worker '{}' is not registered; register first", id.substr(0, 40)));
  return found->second;
}

std::vector<Lease> Coordinator::lease(const LeaseRequest& request, std::int64_t now_ns) {
  require_storage();
  const Scheduler::Worker worker = known_worker(request.worker);
  if (!scheduler_.alive(worker, now_ns)) {
    // It registered with an earlier coordinator, or was silent for long: its profile may have changed.
    throw Refused(404,
                  fmt::format("worker '{}' was not heard of for long; register again", request.worker.substr(0, 40)));
  }
  std::vector<Lease> leases;
  WorkerRow& row = workers_[worker];
  row.seen_ns = now_ns;
  for (const Scheduler::Grant& grant : scheduler_.lease(worker, request.count, now_ns)) {
    journal_.add_attempt(grant.unit, grant.epoch, worker);
    leases.push_back({grant.epoch, work_unit(plan_, grant.unit)});
    row.unit = grant.unit;
    row.phase = "measuring";
  }
  return leases;
}

void Coordinator::undelivered(const std::string& worker, const std::vector<Lease>& leases, std::int64_t now_ns) {
  if (const auto found = worker_by_id_.find(worker); found != worker_by_id_.end())
    workers_[found->second].phase.clear();
  for (const Lease& lease : leases)
    if (const auto unit = find_unit(lease.unit.id))
      if (const auto back = scheduler_.take_back(Scheduler::Grant{*unit, lease.epoch}, now_ns)) ended({*back});
}

std::optional<Scheduler::Unit> Coordinator::find_unit(std::string_view id) const {
  const std::optional<UnitId> wanted = parse_id(id);
  if (!wanted) return std::nullopt;
  const std::uint64_t key = id_key(*wanted);
  for (auto at = std::lower_bound(by_id_.begin(), by_id_.end(), std::pair(key, Scheduler::Unit(0)));
       at != by_id_.end() && at->first == key; ++at)
    if (plan_.units[at->second].id == *wanted) return at->second;
  return std::nullopt;
}

bool Coordinator::renew(std::string_view unit_id, const RenewRequest& request, std::int64_t now_ns) {
  require_storage();
  const Scheduler::Worker worker = known_worker(request.worker);
  const auto unit = find_unit(unit_id);
  if (!unit) throw Refused(404, fmt::format("unit '{}' is not part of this run", unit_id.substr(0, 64)));
  WorkerRow& row = workers_[worker];
  row.seen_ns = now_ns;
  if (!scheduler_.renew(worker, *unit, request.epoch, now_ns)) return false;
  row.unit = *unit;
  row.phase = request.phase.empty() ? "measuring" : request.phase;
  return true;
}

std::vector<ResultAnswer> Coordinator::receive(Json results, std::int64_t now_ns) {
  require_storage();
  std::vector<ResultAnswer> answers;
  for (Json& result : results) {
    const std::string where = fmt::format("results[{}]", answers.size());
    try {
      answers.push_back(receive_one(result, where, now_ns));
    } catch (const DataError& error) {
      const bool named = result.is_object() && result.contains("unit") && result["unit"].is_string();
      answers.push_back(
          {named ? result["unit"].get<std::string>().substr(0, 64) : "", ResultVerdict::invalid, error.what()});
    }
  }
  return answers;
}

ResultAnswer Coordinator::receive_one(Json& result, const std::string& where, std::int64_t now_ns) {
  const Measurement measurement = measurement_from_json(result, where, Blame::peer);
  const auto invalid = [&](std::string reason) {
    return ResultAnswer{measurement.unit, ResultVerdict::invalid, std::move(reason)};
  };
  const auto unit = find_unit(measurement.unit);
  if (!unit) return invalid(where + ": the unit is not part of this run");
  if (measurement.outcome == Outcome::ok && !machines_.contains(measurement.machine_key))
    return invalid(where + ": the machine key belongs to no registered worker");
  RecordText kept = record_text(std::move(result));
  const std::uint64_t digest = first_64_bits(kept.digest);
  const std::optional<std::int64_t> live = scheduler_.live_epoch(*unit);
  const ResultDecision decision =
      scheduler_.result(*unit, measurement.epoch, worth_another_start(measurement), digest, now_ns);
  const auto keep = [&](std::string text) {
    journal_.add_result(*unit, measurement.epoch, digest, decision, std::move(text));
  };
  switch (decision) {
    case ResultDecision::settled:
    case ResultDecision::quarantined:
      journal_.end_attempt(measurement.epoch,
                           decision == ResultDecision::settled ? AttemptEnd::committed : AttemptEnd::error);
      keep("");
      if (live && live != measurement.epoch) journal_.end_attempt(*live, AttemptEnd::abandoned);
      record(*unit, measurement, std::move(kept.text));
      return {measurement.unit, ResultVerdict::settled, ""};
    case ResultDecision::retried:
      journal_.end_attempt(measurement.epoch, AttemptEnd::error);
      keep(std::move(kept.text));
      return {measurement.unit, ResultVerdict::shadow,
              fmt::format("kept; start {} of the unit ended in an error that may pass, and it waits again",
                          scheduler_.starts(*unit))};
    case ResultDecision::shadow:
      keep(std::move(kept.text));
      ++shadows_;
      return {measurement.unit, ResultVerdict::shadow,
              "kept beside the record: the lease had ended, or another result came first"};
    case ResultDecision::repeated: return {measurement.unit, ResultVerdict::repeated, ""};
    case ResultDecision::invalid: break;
  }
  return invalid(where + ": the unit was not leased under this epoch, or too many different results came under it");
}

void Coordinator::record(Scheduler::Unit unit, const Measurement& measurement, std::string text) {
  const std::string utc = utc_text();
  journal_.settle(unit, measurement.epoch, std::move(text), utc);
  ++outcomes_[std::size_t(measurement.outcome)];
  std::string name = measurement.worker;
  if (const auto found = worker_by_id_.find(measurement.worker); found != worker_by_id_.end()) {
    WorkerRow& row = workers_[found->second];
    name = row.name;
    ++row.settled;
    if (row.unit == unit) row.phase.clear();
  }
  recent_.push_front({unit, measurement.outcome, measurement.reason, name, utc});
  if (recent_.size() > kRecent) recent_.pop_back();
}

void Coordinator::ended(const std::vector<Scheduler::Ended>& leases) {
  for (const Scheduler::Ended& lease : leases) {
    journal_.end_attempt(lease.epoch, lease.end);
    if (lease.given_up) give_up(lease);
  }
}

void Coordinator::give_up(const Scheduler::Ended& lease) {
  const auto& attempts = scheduler_.attempts(lease.unit);
  const auto deaths =
      std::count_if(attempts.begin(), attempts.end(), [](const auto& a) { return a.end == AttemptEnd::died; });
  Measurement measurement;
  measurement.unit = id_text(plan_.units[lease.unit]);
  measurement.epoch = lease.epoch;
  measurement.worker = workers_[attempts.back().worker].id;
  measurement.machine_key = workers_[attempts.back().worker].machine_key;
  measurement.outcome = Outcome::failed;
  measurement.started_utc = utc_text();
  measurement.reason =
      fmt::format("given up after {} starts, in {} of which the worker died or fell silent", attempts.size(), deaths);
  record(lease.unit, measurement, canonical_text(to_json(measurement)));
}

void Coordinator::worker_ended(const std::string& name, std::int64_t now_ns) {
  for (Scheduler::Worker worker = 0; worker < workers_.size(); ++worker)
    if (workers_[worker].name == name) {
      ended(scheduler_.lost(worker, now_ns));
      workers_[worker].phase.clear();
    }
}

void Coordinator::tick(std::int64_t now_ns) { ended(scheduler_.expire(now_ns)); }

std::string Coordinator::nobody_accepts(std::int64_t now_ns) const {
  std::string words;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
    if (scheduler_.waiting_of_kind(kind) > 0 && !scheduler_.somebody_accepts(kind, now_ns))
      words += fmt::format(
          "{}{} units wait for a worker{}", words.empty() ? "" : "; ", scheduler_.waiting_of_kind(kind),
          kinds_[kind].empty() ? "" : fmt::format(" whose processor or host name contains '{}'", kinds_[kind]));
  return words;
}

bool Coordinator::only_unaccepted_left(std::int64_t now_ns) const {
  if (scheduler_.leased() > 0 || scheduler_.all_settled()) return false;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
    if (scheduler_.waiting_of_kind(kind) > 0 && scheduler_.somebody_accepts(kind, now_ns)) return false;
  return true;
}

}  // namespace qb
