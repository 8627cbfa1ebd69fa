#include "reports/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "reports/statistics.h"

namespace qb {

namespace {

/// Collects sentences about one thing at a time.
class Findings {
 public:
  void about(std::string thing) { thing_ = std::move(thing); }
  void unless(bool agrees, const std::string& fault) {
    if (!agrees) all_.push_back(fmt::format("{}: {}", thing_, fault));
  }
  std::vector<std::string> take() { return std::move(all_); }

 private:
  std::string thing_;
  std::vector<std::string> all_;
};

void check_provenance(const RunRecord& run, Findings& findings) {
  findings.about("run");
  findings.unless(!run.run_id.empty(), "has no run id");
  findings.unless(!run.study_text.empty(), "has no study text");
  findings.unless(!run.plan_digest.empty(), "has no plan digest");
  findings.unless(!run.build.empty(), "has no build");
  findings.unless(!run.created_utc.empty() && !run.finished_utc.empty(), "has no time of beginning or end");
  findings.unless(!run.plan.empty(), "has no plan");
  for (const ExcludedRow& row : run.excluded)
    findings.unless(!row.reason.empty(),
                    fmt::format("excludes {} {} without a reason", row.combination.model, row.combination.quantizer));
}

void check_machines(const RunRecord& run, Findings& findings) {
  findings.about("machines");
  std::set<std::string> keys, builds;
  for (const HardwareProfile& machine : run.machines) {
    findings.unless(!machine.machine_key.empty(), "a machine has no key");
    findings.unless(keys.insert(machine.machine_key).second,
                    fmt::format("machine {} stands twice", machine.machine_key.substr(0, 8)));
    builds.insert(machine.build);
  }
  findings.unless(builds.size() <= 1, fmt::format("{} builds are mixed in one run", builds.size()));
  for (const std::string& build : builds)
    findings.unless(build.empty() || build == run.build,
                    fmt::format("a worker of build '{}' measured for a coordinator of build '{}'", build, run.build));
}

void check_samples(const SampleSet& set, std::string_view kind, const MeasureOptions& options, std::int64_t least,
                   Findings& findings) {
  if (set.time_ns.size() != set.iterations.size() || set.warmup < 0 || set.warmup > std::ssize(set.time_ns)) {
    findings.unless(false, fmt::format("the columns of its {} samples do not fit one another", kind));
    return;
  }
  std::vector<double> times;
  for (std::size_t i = 0; i < set.time_ns.size(); ++i) {
    const bool sound = std::isfinite(set.time_ns[i]) && set.time_ns[i] > 0 && set.iterations[i] > 0;
    findings.unless(
        sound, fmt::format("{} block {} took {} ns for {} iterations", kind, i, set.time_ns[i], set.iterations[i]));
    if (sound && std::int64_t(i) >= set.warmup) times.push_back(set.time_ns[i] / double(set.iterations[i]));
  }
  const std::int64_t n = std::ssize(times);
  const bool known = set.stopped_by == "width" || set.stopped_by == "samples" || set.stopped_by == "time";
  findings.unless(
      known, fmt::format("its {} timing was stopped by '{}'; known are width, samples and time", kind, set.stopped_by));
  findings.unless(n >= least || set.stopped_by == "time",
                  fmt::format("{} {} blocks are fewer than the {} that the study asks for", n, kind, least));
  if (set.stopped_by != "width") return;
  // A stopping rule may place its ranks one off from ours, hence twice the width; more is not narrow.
  const Estimate estimate = median_interval(times);
  const double half = (estimate.high - estimate.low) / 2;
  findings.unless(half <= 2 * options.relative_width * estimate.value,
                  fmt::format("its {} timing claims a narrow interval, but ± {:.1f} % is not within {:.1f} %", kind,
                              100 * half / estimate.value, 100 * options.relative_width));
}

void check_items(const Measurement& m, const MeasureOptions& options, Findings& findings) {
  const ItemColumns& items = m.items;
  const std::size_t n = items.index.size();
  const bool fit = items.float_top1.size() == n && items.top1.size() == n && items.target.size() == n &&
                   items.float_hit5.size() == n && items.hit5.size() == n && items.float_log_likelihood.size() == n &&
                   items.log_likelihood.size() == n && items.kl.size() == n;
  findings.unless(fit, "the columns of its items differ in length");
  if (!fit) return;
  bool within = true;
  for (std::size_t i = 0; i < n; ++i)
    within &= (items.top1[i] != items.target[i] || items.hit5[i] != 0) &&
              (items.float_top1[i] != items.target[i] || items.float_hit5[i] != 0);
  findings.unless(within, "a first answer is right, but not among the five best");
  findings.unless(std::set<std::int64_t>(items.index.begin(), items.index.end()).size() == n,
                  "a sample was judged twice");
  findings.unless(options.accuracy_samples == 0 || n > 0, "it was not judged, though the study asks for it");
  // KL divergence is not negative; what rounding of 1e5 log-probabilities can take away is.
  findings.unless(std::all_of(items.kl.begin(), items.kl.end(), [](double kl) { return !(kl < -1e-6); }),
                  "a KL divergence is negative");
  findings.unless(
      std::all_of(items.log_likelihood.begin(), items.log_likelihood.end(), [](double v) { return !(v > 1e-6); }),
      "a log-likelihood is positive");
}

void check_ok(const Measurement& m, const MeasureOptions& options, Findings& findings) {
  findings.unless(m.reason.empty(), "it is ok and yet has a reason");
  findings.unless(!m.kernels.empty(), "it does not name its kernels");
  findings.unless(!m.dataset.empty() && !m.task.empty(), "it does not name its data and task");
  findings.unless(m.kernel_error <= m.kernel_bound,
                  fmt::format("its kernel error {} is not within the bound {}", m.kernel_error, m.kernel_bound));
  findings.unless(m.repeatable, "its results were not repeatable");
  double time_share = 0;
  for (const LayerMeasurement& layer : m.layers) {
    findings.unless(!(layer.kernel_error > layer.kernel_bound),
                    fmt::format("layer '{}' is wrong by {}, more than its bound {}", layer.node, layer.kernel_error,
                                layer.kernel_bound));
    if (std::isfinite(layer.time_share)) time_share += layer.time_share;
  }
  findings.unless(time_share <= 1.001, fmt::format("its layers take {:.3f} of one run", time_share));
  findings.unless(m.packed_bytes >= 0 && m.other_bytes >= 0, "it was not weighed");
  findings.unless(m.peak_bytes < 0 || m.peak_bytes >= m.base_bytes, "its peak memory lies below its base");
  check_items(m, options, findings);
  check_samples(m.hot, "hot", options, options.min_samples, findings);
  if (!m.cold.time_ns.empty()) check_samples(m.cold, "cold", options, options.min_samples / 2, findings);
}

void check_not_ok(const Measurement& m, Findings& findings) {
  findings.unless(!m.reason.empty(), "it is not ok and gives no reason");
  const bool numbers = !m.hot.time_ns.empty() || !m.cold.time_ns.empty() || !m.items.index.empty() ||
                       !m.layers.empty() || std::isfinite(m.output_sqnr_db) || std::isfinite(m.kernel_error) ||
                       std::isfinite(m.bits_per_weight) || m.packed_bytes >= 0 || m.peak_bytes >= 0;
  findings.unless(!numbers, "it is not ok and yet carries numbers");
}

}  // namespace

std::vector<std::string> check_run(const RunRecord& run) {
  Findings findings;
  check_provenance(run, findings);
  check_machines(run, findings);
  std::set<std::string> machines;
  for (const HardwareProfile& machine : run.machines) machines.insert(machine.machine_key);
  std::map<std::string, const Measurement*> by_unit;
  std::vector<std::string> order;
  for (const Measurement& m : run.measurements) {
    findings.about(fmt::format("unit {}", m.unit));
    if (by_unit.emplace(m.unit, &m).second)
      order.push_back(m.unit);
    else
      findings.unless(false, "it was measured twice");
    findings.unless(machines.contains(m.machine_key), "its machine is not among the machines");
    findings.unless(!m.started_utc.empty(), "it does not say when it was measured");
  }

  std::size_t next = 0;
  std::set<std::string> planned;
  for (const PlanRow& row : run.plan) {
    findings.about(fmt::format("unit {}", row.unit.id));
    findings.unless(planned.insert(row.unit.id).second, "it stands twice in the plan");
    findings.unless(unit_id(row.unit) == row.unit.id, "its id is not the digest of what it says");
    findings.unless(!row.reproduce.empty(), "it names no command that measures it again");
    const auto found = by_unit.find(row.unit.id);
    if (found == by_unit.end()) {
      findings.unless(row.status == "pending",
                      fmt::format("its status is '{}', but it has no measurement", row.status));
      continue;
    }
    const Measurement& m = *found->second;
    findings.unless(next < order.size() && order[next] == row.unit.id, "its measurement does not stand in plan order");
    ++next;
    findings.unless(row.status == name_of(m.outcome),
                    fmt::format("its status is '{}', but its measurement is '{}'", row.status, name_of(m.outcome)));
    if (m.outcome == Outcome::ok)
      check_ok(m, row.unit.measure, findings);
    else
      check_not_ok(m, findings);
  }
  for (const std::string& unit : order) {
    findings.about(fmt::format("unit {}", unit));
    findings.unless(planned.contains(unit), "it was measured, but the plan does not have it");
  }
  return findings.take();
}

}  // namespace qb
