#include "harness/run_loop.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <thread>

#include "harness/record_run.h"
#include "harness/run_folder.h"
#include "kernels/base/clock.h"
#include "kernels/base/files.h"
#include "tests/harness/invented_study.h"
#include "tests/harness/raw_client.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

namespace fs = std::filesystem;
const std::string kToken = "0123456789abcdef0123456789abcdef";

/// One run over a journal: what `quantbench run` does between planning and the run file.
struct TestRun {
  TestRun(const Plan& plan_of_run, const fs::path& journal_file, OldLeases old_leases)
      : plan(plan_of_run),
        journal(journal_file, {plan.run_id, plan.digest, "s", "{}", "b", "2026-01-01T00:00:00Z"}),
        coordinator(plan, journal, old_leases, now_ns()),
        loop(coordinator, {}, options(), nullptr) {}
  static LoopOptions options() {
    LoopOptions options;
    options.token = kToken;
    options.unaccepted_patience_s = 0.5;
    return options;
  }
  const Plan& plan;
  Journal journal;
  Coordinator coordinator;
  RunLoop loop;
};

/// Settles up to `most` units as a worker on a thread of its own, without measuring anything.
class FakeWorker {
 public:
  FakeWorker(std::uint16_t port, std::string name, int most) : thread_([=, this] { work(port, name, most); }) {}
  ~FakeWorker() { thread_.join(); }

 private:
  void work(std::uint16_t port, const std::string& name, int most) {
    RawClient client(port);
    const RawAnswer registered =
        client.post("/v1/workers", kToken, canonical_text(to_json(invented_registration(name))));
    const std::string worker = registered.json()["worker"];
    for (int done = 0; done < most; ++done) {
      const RawAnswer answer = client.post("/v1/leases", kToken, canonical_text(to_json(LeaseRequest{worker, 5, 1})));
      if (answer.status != 200) return;
      const Lease lease = leases_from_json(answer.json(), "lease", Blame::peer).at(0);
      const Measurement measurement = invented_measurement(lease, worker, std::string(64, 'a'));
      client.post("/v1/results", kToken, canonical_text(results_to_json(worker, {measurement})));
    }
    if (most < 1000)
      client.post("/v1/leases", kToken, canonical_text(to_json(LeaseRequest{worker, 5, 1})));  // dies with a lease
  }
  std::thread thread_;
};

TEST_CASE("a run settles every unit once, and its record has them in plan order") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(3, 4, 2));
  TestRun run(plan, folder / "journal.sqlite", OldLeases::take_back);
  const FakeWorker one(run.loop.port(), "one", 1000), two(run.loop.port(), "two", 1000);
  CHECK(run.loop.run() == RunEnd::settled);
  const RunRecord record = record_run(plan, run.journal);
  REQUIRE(record.plan.size() == 96);
  REQUIRE(record.measurements.size() == 96);
  for (std::size_t i = 0; i < record.plan.size(); ++i) {
    CHECK(record.measurements[i].unit == record.plan[i].unit.id);
    CHECK(record.plan[i].status == "ok");
    CHECK(record.plan[i].attempts == 1);
  }
  REQUIRE(record.machines.size() == 1);
  CHECK(record.machines[0].cpu_model == "Invented CPU 3000");
}

TEST_CASE("a run that was cut short goes on where it was: nothing settled runs again, nothing is lost") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(2, 4, 2));
  {
    TestRun run(plan, folder / "journal.sqlite", OldLeases::take_back);
    const FakeWorker worker(run.loop.port(), "one", 10);
    std::thread interrupter([&] {
      for (RawClient client(run.loop.port());;) {
        const Json status = client.get("/v1/run", kToken).json();
        if (status["settled"] == 10 && status["leased"] == 1) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
      ::kill(::getpid(), SIGINT);
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      ::kill(::getpid(), SIGINT);  // the worker with the lease is gone: end at once
    });
    CHECK(run.loop.run() == RunEnd::interrupted);
    interrupter.join();
    CHECK(record_run(plan, run.journal, "not yet").plan[0].attempts <= 1);
  }
  TestRun run(plan, folder / "journal.sqlite", OldLeases::take_back);
  CHECK(run.coordinator.settled_before() == 10);
  CHECK(run.coordinator.scheduler().leased() == 0);
  const FakeWorker worker(run.loop.port(), "two", 1000);
  CHECK(run.loop.run() == RunEnd::settled);
  const RunRecord record = record_run(plan, run.journal);
  CHECK(record.measurements.size() == 64);
  int starts = 0;
  for (const PlanRow& row : record.plan) starts += row.attempts;
  CHECK(starts == 65);  // one was leased to the worker that went with the first coordinator
}

TEST_CASE("a result that a worker of a killed run had kept is settled when the run goes on, not measured again") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(1, 1, 1));
  const std::string key(64, 'a');
  std::vector<Measurement> kept;
  {
    TestRun killed(plan, folder / "journal.sqlite", OldLeases::take_back);
    const std::string worker = killed.coordinator.register_worker(invented_registration("one"), now_ns()).worker;
    for (const Lease& lease : killed.coordinator.lease({worker, 0, 2}, now_ns()))
      kept.push_back(invented_measurement(lease, worker, key));
    REQUIRE(killed.coordinator.commit());
  }
  REQUIRE(kept.size() == 2);
  const auto verdict = [&](TestRun& run, const Measurement& measurement) {
    return run.coordinator.receive(results_to_json("one", {measurement})["results"], now_ns()).at(0).verdict;
  };
  {
    TestRun resumed(plan, folder / "journal.sqlite", OldLeases::take_back);
    const std::string second = resumed.coordinator.register_worker(invented_registration("two"), now_ns()).worker;
    const std::vector<Lease> again =
        resumed.coordinator.lease({second, 0, 4}, now_ns());  // before the spool was heard of
    REQUIRE(again.size() == 4);
    CHECK(verdict(resumed, kept[0]) == ResultVerdict::settled);
    CHECK(verdict(resumed, kept[0]) == ResultVerdict::repeated);
    for (const Lease& lease : again) {
      Measurement late = invented_measurement(lease, second, key);
      late.packed_bytes = 7;
      CHECK(verdict(resumed, late) == (lease.unit.id == kept[0].unit ? ResultVerdict::shadow : ResultVerdict::settled));
    }
    CHECK(verdict(resumed, kept[1]) == ResultVerdict::shadow);  // another result came first
    REQUIRE(resumed.coordinator.commit());
  }
  const TestRun last(plan, folder / "journal.sqlite", OldLeases::take_back);  // and the journal says the same
  CHECK(last.coordinator.scheduler().all_settled());
  for (const Measurement& measurement : record_run(plan, last.journal).measurements)
    CHECK(measurement.packed_bytes == (measurement.unit == kept[0].unit ? -1 : 7));
}

TEST_CASE("units that nobody accepts end the run as pending, with the reason") {
  const TemporaryFolder folder;
  Study study = invented_study(1, 2, 1);
  study.hardware[1].match = "Imaginary";
  const Plan plan = make_plan(study);
  TestRun run(plan, folder / "journal.sqlite", OldLeases::take_back);
  const FakeWorker worker(run.loop.port(), "one", 1000);
  CHECK(run.loop.run() == RunEnd::unaccepted);
  const std::string reason = run.coordinator.nobody_accepts(now_ns());
  CHECK(reason.find("contains 'Imaginary'") != std::string::npos);
  int pending = 0;
  for (const PlanRow& row : record_run(plan, run.journal, reason).plan) pending += row.status == "pending";
  CHECK(pending == 4);
}

TEST_CASE("local workers that cannot start end the run with their last words") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(1, 1, 1));
  write_file_atomically(folder / "worker.sh", "#!/bin/sh\necho 'no such token'\nexit 2\n", 0755);
  TestRun run(plan, folder / "journal.sqlite", OldLeases::take_back);
  run.loop.launch({folder / "worker.sh", {}, folder.path(), 1, 20});
  CHECK_THROWS_WITH_AS(run.loop.run(), doctest::Contains("no such token"), InputError);
}

TEST_CASE("the journal of one plan is not taken for another's, and damage to its numbers is refused") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(1, 1, 1));
  {
    Journal journal(folder / "journal.sqlite", {plan.run_id, plan.digest, "s", "{}", "b", "2026-01-01T00:00:00Z"});
    journal.add_attempt(77, 1, 5);
    journal.commit();
  }
  CHECK_THROWS_AS(TestRun(plan, folder / "journal.sqlite", OldLeases::keep), DataError);
}

TEST_CASE("run folders: the first run, a second one, resumed and fresh") {
  const TemporaryFolder folder;
  const Plan plan = make_plan(invented_study(1, 1, 1));
  const RunFolder first = open_run_folder(folder.path(), plan, Begin::first);
  CHECK(first.path.filename().string() == "invented-" + plan.run_id.substr(0, 8));
  write_file_atomically(first.journal(), "a journal");
  CHECK_THROWS_WITH_AS(open_run_folder(folder.path(), plan, Begin::first), doctest::Contains("--resume"), InputError);
  CHECK(open_run_folder(folder.path(), plan, Begin::resume).path == first.path);
  const RunFolder fresh = open_run_folder(folder.path(), plan, Begin::fresh);
  CHECK_FALSE(fs::exists(fresh.journal()));
  CHECK(read_file(fs::path(fresh.set_aside) / "journal.sqlite") == "a journal");
  write_file_atomically(folder / "file", "");
  CHECK_THROWS_WITH_AS(open_run_folder(folder / "file", plan, Begin::first), doctest::Contains("cannot be created"),
                       InputError);
}

TEST_CASE("a token is long, random, and readable by its owner alone") {
  const TemporaryFolder folder;
  const std::string token = run_token(folder / "token", TokenUse::renew);
  CHECK(token.size() == 64);
  CHECK((fs::status(folder / "token").permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(run_token(folder / "token", TokenUse::keep) == token);
  CHECK(run_token(folder / "token", TokenUse::renew) != token);
}

}  // namespace
}  // namespace qb
