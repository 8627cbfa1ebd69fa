#include "harness/progress.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/harness/invented_study.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST_CASE("time left in the unit that people would choose") {
  CHECK(time_left_text(std::nan("")) == "unknown");
  CHECK(time_left_text(44.6) == "45 s");
  CHECK(time_left_text(89.4) == "89 s");
  CHECK(time_left_text(720) == "12 min");
  CHECK(time_left_text(12'600) == "3.5 h");
}

TEST_CASE("the progress line says what is settled, how fast, what runs, and what is wrong") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(1, 2, 1));
  Journal journal(folder / "journal.sqlite", {plan.run_id, plan.digest, "s", "{}", "b", "2026-01-01T00:00:00Z"});
  Coordinator coordinator(plan, journal, OldLeases::keep, 0);
  CHECK(progress_line(coordinator, 240, kSecond).ends_with("| 0/8 settled"));
  CHECK(progress_line(coordinator, 240, kSecond).starts_with("8 units wait for a worker"));

  const std::string worker = coordinator.register_worker(invented_registration("one"), kSecond).worker;
  CHECK(progress_line(coordinator, 240, kSecond) == "0/8 settled");
  const std::vector<Lease> leases = coordinator.lease({worker, 0, 3}, kSecond);
  REQUIRE(leases.size() == 3);
  Measurement failed = invented_measurement(leases[1], worker, std::string(64, 'a'));
  failed.outcome = Outcome::failed;
  failed.reason = "beyond the bound";
  coordinator.receive(
      results_to_json(worker, {invented_measurement(leases[0], worker, std::string(64, 'a')), failed})["results"],
      2 * kSecond);
  coordinator.renew(leases[2].unit.id, {worker, leases[2].epoch, "judging"}, 3 * kSecond);
  const Combination& c = leases[2].unit.combination;
  const std::string line = progress_line(coordinator, 240, 4 * kSecond);  // 2 of 8 in 4 s: 0.5 per second, 12 s left
  CHECK(line == fmt::format("2/8 settled, 1 failed | 0.5 units/s, 12 s left | {} {} {} {} b{}: judging", c.model,
                            c.quantizer, c.hardware, c.kernel, c.batch));
  const std::string narrow = progress_line(coordinator, 30, 4 * kSecond);
  CHECK(narrow == line.substr(0, 29) + ">");
}

}  // namespace
}  // namespace qb
