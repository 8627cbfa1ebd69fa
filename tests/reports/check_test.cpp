#include "reports/check.h"

#include <doctest/doctest.h>

#include <functional>

#include "kernels/base/text.h"
#include "tests/reports/small_record.h"

namespace qb {
namespace {

TEST_CASE("a sound run has no findings") { CHECK(join(check_run(small_record()), "\n") == ""); }

TEST_CASE("every disagreement is found and named") {
  using Damage = std::function<void(RunRecord&)>;
  const std::vector<std::pair<std::string, Damage>> damages = {
      {"has no study text", [](RunRecord& r) { r.study_text.clear(); }},
      {"has no build", [](RunRecord& r) { r.build.clear(); }},
      {"excludes tiny float without a reason", [](RunRecord& r) { r.excluded[0].reason.clear(); }},
      {"2 builds are mixed",
       [](RunRecord& r) {
         r.machines.push_back(r.machines[0]);
         r.machines[1].machine_key = "m2";
         r.machines[1].build = "0.2";
       }},
      {"a worker of build '0.2' measured", [](RunRecord& r) { r.machines[0].build = "0.2"; }},
      {"its machine is not among the machines", [](RunRecord& r) { r.machines[0].machine_key = "m2"; }},
      {"its id is not the digest", [](RunRecord& r) { r.plan[0].unit.seed = 2; }},
      {"names no command", [](RunRecord& r) { r.plan[0].reproduce.clear(); }},
      {"stands twice in the plan", [](RunRecord& r) { r.plan.push_back(r.plan[4]); }},
      {"but it has no measurement", [](RunRecord& r) { r.plan[4].status = "ok"; }},
      {"but the plan does not have it",
       [](RunRecord& r) {
         r.plan.pop_back();
         r.plan.pop_back();
       }},
      {"was measured twice", [](RunRecord& r) { r.measurements.push_back(r.measurements[0]); }},
      {"does not stand in plan order", [](RunRecord& r) { std::swap(r.measurements[0], r.measurements[1]); }},
      {"its measurement is 'failed'", [](RunRecord& r) { r.plan[2].status = "ok"; }},
      {"not ok and gives no reason", [](RunRecord& r) { r.measurements[2].reason.clear(); }},
      {"not ok and yet carries numbers", [](RunRecord& r) { r.measurements[2].packed_bytes = 5; }},
      {"ok and yet has a reason", [](RunRecord& r) { r.measurements[0].reason = "why"; }},
      {"is not within the bound", [](RunRecord& r) { r.measurements[0].kernel_error = 1; }},
      {"is not within the bound", [](RunRecord& r) { r.measurements[0].kernel_error = kMissing; }},
      {"more than its bound",
       [](RunRecord& r) {
         r.measurements[0].layers[0].kernel_error = 1;
         r.measurements[0].layers[0].kernel_bound = 0.5;
       }},
      {"of one run", [](RunRecord& r) { r.measurements[0].layers[0].time_share = 0.9; }},
      {"were not repeatable", [](RunRecord& r) { r.measurements[0].repeatable = false; }},
      {"7 hot blocks are fewer than the 8", [](RunRecord& r) { r.measurements[0].hot.warmup = 2; }},
      {"took -1 ns", [](RunRecord& r) { r.measurements[0].hot.time_ns[4] = -1; }},
      {"was stopped by 'boredom'", [](RunRecord& r) { r.measurements[0].hot.stopped_by = "boredom"; }},
      {"claims a narrow interval",
       [](RunRecord& r) {
         r.measurements[0].hot.stopped_by = "width";
         r.plan[0].unit.measure.relative_width = 0.001;
       }},
      {"differ in length", [](RunRecord& r) { r.measurements[0].items.kl.pop_back(); }},
      {"not among the five best", [](RunRecord& r) { r.measurements[0].items.hit5[0] = 0; }},
      {"was judged twice", [](RunRecord& r) { r.measurements[0].items.index[1] = 0; }},
      {"was not judged", [](RunRecord& r) { r.measurements[0].items = {}; }},
      {"a KL divergence is negative", [](RunRecord& r) { r.measurements[0].items.kl[0] = -0.5; }},
      {"below its base", [](RunRecord& r) { r.measurements[0].peak_bytes = 1; }},
      {"was not weighed", [](RunRecord& r) { r.measurements[0].packed_bytes = -1; }},
  };
  for (const auto& [words, damage] : damages) {
    RunRecord run = small_record();
    damage(run);
    const std::string findings = join(check_run(run), "\n");
    INFO("expected: ", words, "; found: ", findings);
    CHECK(findings.find(words) != std::string::npos);
  }
}

}  // namespace
}  // namespace qb
