#include "harness/launch_local.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

/// A shell script that stands in for the worker program; "$@" are the arguments it was given.
std::filesystem::path script(const TemporaryFolder& folder, const std::string& body) {
  const std::filesystem::path path = folder / "worker.sh";
  write_file_atomically(path, "#!/bin/sh\n" + body, 0755);
  return path;
}

/// Polls until `done`; false after half a minute, which only a broken launcher needs.
bool polled_until(LocalWorkers& workers, bool replace,
                  const std::function<bool(const std::vector<std::string>&)>& done) {
  std::vector<std::string> ended;
  for (int i = 0; i < 3000; ++i) {
    for (std::string& name : workers.poll(replace, now_ns())) ended.push_back(std::move(name));
    if (done(ended)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_CASE("workers are told their name and spool, and what they say is kept in logs") {
  const TemporaryFolder folder;
  LocalWorkers workers({script(folder, "echo \"$@\"; exec sleep 100\n"), {"--connect", "here:1"}, folder.path(), 2, 20},
                       now_ns());
  CHECK(workers.running() == 2);
  const auto log = [&](int n) {
    std::ifstream file(folder / fmt::format("worker-{}.log", n));
    std::string line;
    std::getline(file, line);
    return line;
  };
  CHECK(polled_until(workers, true, [&](const auto&) { return !log(1).empty() && !log(2).empty(); }));
  CHECK(log(2) == fmt::format("--connect here:1 --name local-2.1 --spool {}/spool-2", folder.path().string()));
}

TEST_CASE("a worker that dies is said and started again under another name") {
  const TemporaryFolder folder;
  const auto program = script(folder, fmt::format("echo $$ >> {0}/pids\nexec sleep 100\n", folder.path().string()));
  LocalWorkers workers({program, {}, folder.path(), 1, 20}, now_ns());
  const auto pids = [&] {
    std::ifstream file(folder / "pids");
    std::vector<pid_t> found;
    for (pid_t pid = 0; file >> pid;) found.push_back(pid);
    return found;
  };
  REQUIRE(polled_until(workers, true, [&](const auto&) { return pids().size() == 1; }));
  REQUIRE(::kill(pids()[0], SIGKILL) == 0);
  CHECK(polled_until(workers, true, [&](const auto& ended) { return ended.size() == 1 && ended[0] == "local-1.1"; }));
  CHECK(polled_until(workers, true, [&](const auto&) { return pids().size() == 2; }));
  CHECK(workers.running() == 1);
  workers.signal(SIGTERM);
  CHECK(polled_until(workers, false, [&](const auto& ended) { return ended.size() == 1 && ended[0] == "local-1.2"; }));
  CHECK(workers.running() == 0);
}

TEST_CASE("a worker that cannot even start is given up, and its last words are known") {
  const TemporaryFolder folder;
  LocalWorkers workers(
      {script(folder, "echo first; echo 'the token file is missing' >&2; exit 2\n"), {}, folder.path(), 1, 20},
      now_ns());
  CHECK(polled_until(workers, true, [&](const auto&) { return workers.exhausted(); }));
  CHECK(workers.last_words() == "the token file is missing");
}

TEST_CASE("what a worker leaves behind in its process group goes with it") {
  const TemporaryFolder folder;
  const auto program =
      script(folder, fmt::format("sleep 100 &\necho $! > {0}/child\nexec sleep 100\n", folder.path().string()));
  pid_t child = 0;
  {
    LocalWorkers workers({program, {}, folder.path(), 1, 20}, now_ns());
    REQUIRE(polled_until(workers, true,
                         [&](const auto&) { return std::ifstream(folder / "child") >> child && child > 0; }));
    CHECK(::kill(child, 0) == 0);
  }
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i) {  // a zombie until init reaps it, and then gone
    std::ifstream stat(fmt::format("/proc/{}/stat", child));
    std::string pid, name, state;
    gone = !(stat >> pid >> name >> state) || state == "Z";
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(gone);
}

TEST_CASE("a program that is not there is said by its path") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(LocalWorkers({folder / "absent", {}, folder.path(), 1, 20}, now_ns()),
                       doctest::Contains("absent' cannot be run"), InputError);
}

}  // namespace
}  // namespace qb
