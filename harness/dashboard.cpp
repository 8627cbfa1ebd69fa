#include "harness/dashboard.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace qb {

namespace {

constexpr std::size_t kShownWorkers = 200;
constexpr Outcome kOutcomes[] = {Outcome::ok, Outcome::unsupported, Outcome::failed, Outcome::timed_out,
                                 Outcome::mistrusted};

/// Units settled per second since this coordinator began; NaN before the first.
double settled_per_s(const Coordinator& coordinator, std::int64_t now_ns) {
  const double done = double(coordinator.scheduler().settled()) - double(coordinator.settled_before());
  const double elapsed_s = double(now_ns - coordinator.started_ns()) * 1e-9;
  return done > 0 && elapsed_s > 0 ? done / elapsed_s : std::nan("");
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json combination_json(const Combination& c) {
  return {{"model", c.model},   {"quantizer", c.quantizer}, {"hardware", c.hardware},
          {"kernel", c.kernel}, {"batch", c.batch},         {"threads", c.threads}};
}

}  // namespace

Json run_status(const Coordinator& coordinator, std::int64_t now_ns) {
  const Plan& plan = coordinator.plan();
  const Scheduler& scheduler = coordinator.scheduler();
  const double rate = settled_per_s(coordinator, now_ns);
  Json outcomes = Json::object(), workers = Json::array(), recent = Json::array();
  for (const Outcome outcome : kOutcomes) outcomes[std::string(name_of(outcome))] = coordinator.count(outcome);
  std::size_t alive = 0;
  for (Scheduler::Worker w = 0; w < coordinator.workers().size(); ++w) {
    if (!scheduler.alive(w, now_ns)) continue;
    if (++alive > kShownWorkers) continue;
    const WorkerRow& row = coordinator.workers()[w];
    workers.push_back({{"name", row.name},
                       {"processor", row.processor},
                       {"phase", row.phase.empty() ? "idle" : row.phase},
                       {"settled", row.settled},
                       {"silent_s", double(now_ns - row.seen_ns) * 1e-9}});
    if (!row.phase.empty())
      workers.back()["unit"] = combination_json(combination_of(plan.study, plan.units[row.unit].point));
  }
  for (const SettledRow& row : coordinator.recent())
    recent.push_back({{"unit", combination_json(combination_of(plan.study, plan.units[row.unit].point))},
                      {"outcome", name_of(row.outcome)},
                      {"reason", row.reason},
                      {"worker", row.worker},
                      {"utc", row.utc}});
  return {{"run_id", plan.run_id},
          {"study", plan.study.name},
          {"units", scheduler.units()},
          {"settled", scheduler.settled()},
          {"settled_before", coordinator.settled_before()},
          {"leased", scheduler.leased()},
          {"waiting", scheduler.waiting()},
          {"excluded", plan.excluded.size()},
          {"shadows", coordinator.shadows()},
          {"outcomes", std::move(outcomes)},
          {"elapsed_s", double(now_ns - coordinator.started_ns()) * 1e-9},
          {"units_per_s", number_or_null(rate)},
          {"remaining_s", number_or_null(double(scheduler.units() - scheduler.settled()) / rate)},
          {"draining", coordinator.draining()},
          {"over", coordinator.over()},
          {"storage_fault", coordinator.storage_fault()},
          {"nobody_accepts", coordinator.nobody_accepts(now_ns)},
          {"workers_alive", alive},
          {"workers", std::move(workers)},
          {"recent", std::move(recent)}};
}

std::string metrics_text(const Coordinator& coordinator, const HttpFigures& http, std::int64_t now_ns) {
  const Scheduler& scheduler = coordinator.scheduler();
  std::string text;
  const auto metric = [&](const char* name, const char* type, const char* help, double value) {
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
  };
  metric("quantbench_units", "gauge", "Units of the plan.", double(scheduler.units()));
  metric("quantbench_units_settled", "gauge", "Units whose record is final.", double(scheduler.settled()));
  metric("quantbench_units_leased", "gauge", "Units that a worker measures now.", double(scheduler.leased()));
  metric("quantbench_units_waiting", "gauge", "Units that wait for a worker.", double(scheduler.waiting()));
  text += "# HELP quantbench_outcomes Settled units by outcome.\n# TYPE quantbench_outcomes gauge\n";
  for (const Outcome outcome : kOutcomes)
    text += fmt::format("quantbench_outcomes{{outcome=\"{}\"}} {}\n", name_of(outcome), coordinator.count(outcome));
  std::size_t alive = 0;
  for (Scheduler::Worker w = 0; w < coordinator.workers().size(); ++w) alive += scheduler.alive(w, now_ns);
  metric("quantbench_workers_alive", "gauge", "Workers heard of within the lease time.", double(alive));
  metric("quantbench_shadow_results_total", "counter", "Late or different results, kept beside the record.",
         double(coordinator.shadows()));
  metric("quantbench_journal_fault", "gauge", "1 while the journal cannot be written.",
         coordinator.storage_fault().empty() ? 0 : 1);
  metric("quantbench_http_connections_open", "gauge", "Open connections.", double(http.open_connections));
  metric("quantbench_http_connections_total", "counter", "Connections accepted.", double(http.connections));
  metric("quantbench_http_connections_refused_total", "counter", "Connections beyond the caps.",
         double(http.refused_connections));
  metric("quantbench_http_requests_total", "counter", "Requests read.", double(http.requests));
  metric("quantbench_http_bad_requests_total", "counter", "Requests answered with 4xx.", double(http.bad_requests));
  metric("quantbench_http_failed_logins_total", "counter", "Requests with a wrong token.", double(http.failed_logins));
  metric("quantbench_http_timeouts_total", "counter", "Connections that were too slow.", double(http.timeouts));
  return text;
}

}  // namespace qb
