// What becomes of a unit whose process ends badly. The children are small shell scripts.
#include "workers/child.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "tests/workers/sample_records.h"
#include "workers/memory_probe.h"

namespace qb {
namespace {

using namespace std::chrono_literals;

struct Watched {
  Measurement result;
  std::string last_phase;
  double took_s = 0;
};

Watched measure_with(const std::string& script, UnitLimits limits = {}, const std::string& input = "") {
  const std::int64_t begin = now_ns();
  Child child({{"/bin/sh", "-c", script}, "best", limits, input});
  while (!child.serve(100ms)) {
  }
  WorkUnit unit = sample_unit();
  unit.limits = limits;
  return {outcome_of(child.end(), unit), child.phase(), double(now_ns() - begin) * 1e-9};
}

std::string result_line() {
  Measurement m = sample_measurement();
  m.unit = sample_unit().id;
  return "result " + canonical_text(to_json(m)) + "\n";
}

TEST_CASE("a child's result is what it says after the word result") {
  const Watched ok = measure_with("echo 'phase load' >&3; cat >&3", {}, result_line());
  CHECK(ok.result.outcome == Outcome::ok);
  CHECK(ok.result.reason == "");
  CHECK(ok.last_phase == "load");
}

TEST_CASE("inputs and results larger than a pipe pass through") {
  Measurement m = sample_measurement();
  m.unit = sample_unit().id;
  m.items = {};
  for (int i = 0; i < 100'000; ++i) {
    m.items.index.push_back(i);
    m.items.float_top1.push_back(1);
    m.items.top1.push_back(1);
    m.items.target.push_back(1);
    m.items.float_hit5.push_back(1);
    m.items.hit5.push_back(1);
    m.items.float_log_likelihood.push_back(-0.123456789012345);
    m.items.log_likelihood.push_back(-0.123456789012345);
    m.items.kl.push_back(0.0123456789012345);
  }
  const std::string text = canonical_text(to_json(m));
  CHECK(text.size() < (16u << 20));
  CHECK(measure_with("cat >&3", {}, "result " + text + "\n").result.outcome == Outcome::ok);
}

TEST_CASE("a child that is killed, crashes, or says nothing is failed with the reason") {
  const Watched crash = measure_with("kill -SEGV $$");
  CHECK(crash.result.outcome == Outcome::failed);
  CHECK(crash.result.reason == "the measuring process was ended by SIGSEGV");
  CHECK(crash.result.passing);  // another start may end differently
  const Watched killed = measure_with("echo full >&2; kill -KILL $$");
  CHECK(killed.result.reason ==
        "the measuring process was ended by SIGKILL, probably for want of memory; it said: full ");
  const Watched exits = measure_with("echo 'bad  luck' >&2; exit 7");
  CHECK(exits.result.reason == "the measuring process ended with code 7 and no result; it said: bad  luck ");
  CHECK(measure_with("exit 0").result.outcome == Outcome::failed);
  CHECK(measure_with("echo 'result {}' >&3").result.reason.find("sent no record") != std::string::npos);
  CHECK(measure_with("echo 'result \001' >&3").result.outcome == Outcome::failed);
  CHECK(measure_with("cat >&3; exit 3", {}, result_line()).result.outcome == Outcome::failed);
  const Watched other = measure_with("cat >&3", {}, "result " + canonical_text(to_json(sample_measurement())) + "\n");
  CHECK(other.result.reason.find("about unit") != std::string::npos);
  Child missing({{"/nonexistent/program"}, "best", {}, ""});
  while (!missing.serve(100ms)) {
  }
  CHECK(missing.end().exit_code == 127);
}

TEST_CASE("a child that hangs is ended at its deadline, its own children with it") {
  UnitLimits limits;
  limits.seconds = 0.3;
  const Watched hangs = measure_with("sleep 600 & sleep 600", limits);
  CHECK(hangs.result.outcome == Outcome::timed_out);
  CHECK(hangs.result.reason == "not done after 0.3 s");
  CHECK(hangs.took_s < 5);
}

TEST_CASE("a child that ignores SIGTERM is killed five seconds later") {
  UnitLimits limits;
  limits.seconds = 0.2;
  const Watched deaf = measure_with("trap '' TERM; while :; do sleep 0.1; done", limits);
  CHECK(deaf.result.outcome == Outcome::timed_out);
  CHECK(deaf.took_s >= 5);
}

TEST_CASE("waiting for the host's lock is not counted") {
  UnitLimits limits;
  limits.seconds = 0.5;
  const Watched waits =
      measure_with("echo 'phase wait' >&3; sleep 1; echo 'phase time' >&3; cat >&3", limits, result_line());
  CHECK(waits.result.outcome == Outcome::ok);
}

TEST_CASE("a child beyond its address space fails without harm to this process") {
  UnitLimits limits;
  limits.memory_bytes = 64 << 20;
  // dd takes its whole block at once.
  const Watched greedy = measure_with("exec dd if=/dev/zero of=/dev/null bs=512M count=1", limits);
  CHECK(greedy.result.outcome == Outcome::failed);
  CHECK(greedy.result.reason.find("ended with code") != std::string::npos);
}

TEST_CASE("a child has its unit's instruction-set cap") {
  Child child({{"/bin/sh", "-c", "echo $QUANTBENCH_ISA >&2; exit 1"}, "avx2", {}, ""});
  while (!child.serve(100ms)) {
  }
  CHECK(child.end().complaint == "avx2 ");
}

TEST_CASE("stop ends a child and says that it was stopped") {
  Child child({{"/bin/sh", "-c", "sleep 600"}, "best", {}, ""});
  CHECK_FALSE(child.serve(50ms));
  child.stop();
  while (!child.serve(100ms)) {
  }
  CHECK(child.end().stopped);
  CHECK(child.end().signal == SIGTERM);
}

TEST_CASE("a job reads back as written") {
  const ChildJob job{sample_unit(), {{sample_unit().model.files[0].sha256, "somewhere/model.onnx"}}};
  const ChildJob back = job_from_json(to_json(job), "job");
  CHECK(back.unit.id == job.unit.id);
  CHECK(back.files == job.files);
  CHECK_THROWS_AS(job_from_json(Json::object(), "job"), DataError);
}

TEST_CASE("the memory pass sees what its work touches and nothing that was released") {
  constexpr std::size_t kSize = 64 << 20;
  std::vector<char> released(kSize, 'x');
  const MemoryPass small = measure_peak([&] { std::vector<char>().swap(released); }, [] {}, 60);
  const MemoryPass large = measure_peak([&] { std::vector<char>().swap(released); },
                                        [] {
                                          std::vector<char> touched(kSize, 'y');
                                          asm volatile("" : : "r"(touched.data()) : "memory");
                                        },
                                        60);
  REQUIRE(small.missing == "");
  REQUIRE(large.missing == "");
  // The kernel counts pages in batches of some per processor: one part in 16 is far above that. Above, an address
  // sanitizer's shadow adds an eighth.
  CHECK(large.peak_bytes - small.peak_bytes >= std::int64_t(kSize) * 15 / 16);
  CHECK(large.peak_bytes - small.peak_bytes <= std::int64_t(kSize) * 5 / 4);
  const MemoryPass late = measure_peak([] {},
                                       [] {
                                         for (;;) ::pause();
                                       },
                                       0.1);
  CHECK(late.missing == "the memory pass did not end");
  const MemoryPass broken = measure_peak([] {}, [] { throw std::runtime_error("no more"); }, 60);
  CHECK(broken.missing == "no more");
}

}  // namespace
}  // namespace qb
