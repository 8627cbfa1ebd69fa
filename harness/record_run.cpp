#include "harness/record_run.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"

namespace qb {

namespace {

/// Profiles of the machines that measurements name, by machine key.
std::vector<HardwareProfile> machines_of(const Journal& journal, const std::vector<Measurement>& measurements) {
  std::map<std::string, HardwareProfile> known;
  for (const JournalWorker& worker : journal.workers()) {
    const std::string where = fmt::format("journal, worker '{}'", worker.id);
    HardwareProfile profile = profile_from_json(parse_json(worker.profile, where, Blame::peer), where, Blame::peer);
    known.emplace(profile.machine_key, std::move(profile));
  }
  std::map<std::string, HardwareProfile> named;
  for (const Measurement& measurement : measurements)
    if (const auto found = known.find(measurement.machine_key); found != known.end()) named.insert(*found);
  std::vector<HardwareProfile> machines;
  for (auto& [key, profile] : named) machines.push_back(std::move(profile));
  return machines;
}

}  // namespace

RunRecord record_run(const Plan& plan, const Journal& journal, const std::string& pending_reason) {
  RunRecord record;
  record.run_id = plan.run_id;
  record.study_name = plan.study.name;
  record.study_text = plan.study.text;
  record.plan_digest = plan.digest;
  record.build = journal.header().build;
  record.created_utc = journal.header().created_utc;
  record.finished_utc = journal.last_settled_utc();

  record.plan.resize(plan.units.size());
  for (std::size_t i = 0; i < plan.units.size(); ++i)
    record.plan[i] = {work_unit(plan, i), "pending", pending_reason, 0, reproduce_command(plan, i)};
  for (const PlanExclusion& row : plan.excluded)
    record.excluded.push_back({combination_of(plan.study, row.point), plan.reasons[row.reason]});
  journal.attempts([&](Scheduler::Unit unit, const Scheduler::Attempt&) {
    if (unit >= record.plan.size()) throw DataError("the run's journal names a unit that its plan does not have");
    ++record.plan[unit].attempts;
  });
  journal.settled([&](Scheduler::Unit unit, std::string_view text) {
    if (unit >= record.plan.size()) throw DataError("the run's journal names a unit that its plan does not have");
    const std::string where = fmt::format("journal, unit {}", unit);
    Measurement measurement = measurement_from_json(parse_json(text, where, Blame::peer), where, Blame::peer);
    record.plan[unit].status = name_of(measurement.outcome);
    record.plan[unit].reason = measurement.reason;
    record.measurements.push_back(std::move(measurement));
  });
  record.machines = machines_of(journal, record.measurements);
  return record;
}

}  // namespace qb
