#include "harness/null_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "harness/coordinator.h"
#include "harness/unit_text.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr int kLeasesPerRequest = 8;
constexpr std::size_t kUnits = 1'000'000;

Study null_study() {
  Study study;
  study.path = study.name = "null";
  ModelManifest model;
  model.name = "null";
  model.format = "onnx";
  model.files = {{"null.onnx", std::string(64, '0'), 1}};
  model.dataset.kind = model.dataset.name = "glyphs";
  model.dataset.options = "{}";
  study.models = {model};
  study.quantizers = {"float"};
  study.kernels = {"best"};
  HardwareEntry hardware;
  hardware.name = "best";
  study.hardware = {hardware};
  study.threads = {1};
  for (std::size_t i = 0; i < kUnits; ++i) study.batch.push_back(std::int64_t(i) + 1);
  return study;
}

Registration null_worker(int number) {
  Registration registration;
  registration.name = registration.incarnation = fmt::format("null-{}", number);
  registration.profile = read_profile();
  return registration;
}

/// One worker's round: the leases and the results as bytes, and back. Adds what the coordinator's side took to
/// `busy_ns`.
std::size_t lease_and_report(Coordinator& coordinator, LeaseText& lease_text, const std::string& worker,
                             const std::string& machine_key, std::int64_t& busy_ns) {
  const std::int64_t lease_ns = now_ns();
  const std::string sent = lease_text.of(coordinator.lease({worker, 0, kLeasesPerRequest}, lease_ns));
  busy_ns += now_ns() - lease_ns;
  const Json received = parse_json(sent, "leases", Blame::peer);
  std::vector<Measurement> results;
  for (const Json& lease : received["leases"]) {
    Measurement measurement;
    measurement.unit = lease["unit"]["id"];
    measurement.epoch = lease["epoch"];
    measurement.worker = worker;
    measurement.machine_key = machine_key;
    measurement.outcome = Outcome::ok;
    results.push_back(std::move(measurement));
  }
  const std::string reported = canonical_text(results_to_json(worker, results));
  const std::int64_t result_ns = now_ns();
  Json body = parse_json(reported, "results", Blame::peer);
  std::size_t settled = 0;
  for (const ResultAnswer& answer : coordinator.receive(std::move(body["results"]), now_ns()))
    settled += answer.verdict == ResultVerdict::settled;
  busy_ns += now_ns() - result_ns;
  return settled;
}

}  // namespace

Json settle_null_units(int workers, double budget_s, const std::filesystem::path& folder) {
  const Plan plan = make_plan(null_study());
  const std::filesystem::path path = folder / fmt::format("null-run-{}.sqlite", ::getpid());
  std::size_t units = 0, commits = 0;
  std::int64_t busy_ns = 0;
  {
    Journal journal(path, {plan.run_id, plan.digest, plan.study.name, "", "", utc_text()});
    Coordinator coordinator(plan, journal, OldLeases::keep, now_ns());
    LeaseText lease_text;
    std::vector<std::string> ids;
    std::string machine_key;
    for (int i = 0; i < workers; ++i) {
      const Registration registration = null_worker(i);
      machine_key = registration.profile.machine_key;
      ids.push_back(coordinator.register_worker(registration, now_ns()).worker);
    }
    const std::int64_t begin_ns = now_ns();
    do {
      for (const std::string& id : ids) units += lease_and_report(coordinator, lease_text, id, machine_key, busy_ns);
      const std::int64_t commit_ns = now_ns();
      if (!coordinator.commit()) throw InputError(coordinator.storage_fault());
      busy_ns += now_ns() - commit_ns;
      ++commits;
    } while (double(now_ns() - begin_ns) * 1e-9 < budget_s && !coordinator.scheduler().all_settled());
  }
  for (const char* end : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(path.string() + end, ignored);
  }
  const double seconds = double(busy_ns) * 1e-9;
  return {{"workers", workers},
          {"units", units},
          {"seconds", seconds},
          {"units_per_s", double(units) / seconds},
          {"commits", commits}};
}

}  // namespace qb
