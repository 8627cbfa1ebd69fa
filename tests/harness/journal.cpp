#include "harness/journal.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <optional>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/random.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

namespace fs = std::filesystem;

JournalHeader header_of(const std::string& plan) {
  return {"run-" + plan, plan, "study", "{ }", "build 1", "2026-01-01T00:00:00Z"};
}

std::string record_text(std::uint32_t unit) {
  return fmt::format("{{\"unit\":{},\"text\":\"{}\"}}", unit, std::string(unit % 700, 'x'));
}

/// Runs `body` in a child process; its wait status.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

/// The message of the error that `body` throws; fails the test when it throws none.
template <class Error, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

TEST_CASE("what was committed is read back: workers, attempts, results, records") {
  const TemporaryFolder folder;
  {
    Journal journal(folder / "journal.sqlite", header_of("p"));
    journal.add_worker({0, "w0", "host/1", "{\"a\":1}"});
    journal.add_attempt(5, 1, 0);
    journal.add_attempt(6, 2, 0);
    journal.end_attempt(1, AttemptEnd::error);
    journal.add_result(5, 1, 0xfedcba9876543210u, ResultDecision::retried, "{}");
    journal.add_attempt(5, 3, 0);
    journal.end_attempt(3, AttemptEnd::committed);
    journal.settle(5, 3, record_text(5), "2026-01-02T00:00:00Z");
    CHECK(journal.pending() == 8);
    journal.commit();
    CHECK(journal.pending() == 0);
    journal.settle(6, 2, "never committed", "2026-01-03T00:00:00Z");
  }
  const Journal journal(folder / "journal.sqlite", header_of("p"));
  CHECK(journal.header().study_text == "{ }");
  REQUIRE(journal.workers().size() == 1);
  CHECK(journal.workers()[0].profile == "{\"a\":1}");
  std::map<std::int64_t, std::pair<Scheduler::Unit, Scheduler::Attempt>> rows;
  journal.attempts([&](Scheduler::Unit unit, const Scheduler::Attempt& attempt) {
    rows[attempt.epoch] = {unit, attempt};
  });
  REQUIRE(rows.size() == 3);
  CHECK(rows[1].second.end == AttemptEnd::error);
  CHECK(rows[1].second.results == std::vector<std::uint64_t>{0xfedcba9876543210u});
  CHECK(rows[2].second.end == AttemptEnd::live);
  CHECK(rows[3].first == 5);
  CHECK(journal.settled_count() == 1);
  CHECK(journal.last_settled_utc() == "2026-01-02T00:00:00Z");
  journal.settled([&](Scheduler::Unit unit, std::string_view text) {
    CHECK(unit == 5);
    CHECK(text == record_text(5));
  });
}

TEST_CASE("a journal of another plan, and one in use, are refused in words") {
  const TemporaryFolder folder;
  { Journal journal(folder / "journal.sqlite", header_of("first")); }
  const std::string other =
      message_of<InputError>([&] { Journal journal(folder / "journal.sqlite", header_of("second")); });
  CHECK(other.find("belongs to run run-first") != std::string::npos);
  const Journal holder(folder / "journal.sqlite", header_of("first"));
  const int status = in_child([&] {
    const std::string used =
        message_of<InputError>([&] { Journal journal(folder / "journal.sqlite", header_of("first")); });
    ::_exit(used.find("in use by another quantbench process") != std::string::npos ? 7 : 8);
  });
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("kill -9 at any moment loses nothing that was committed and invents nothing") {
  for (std::uint64_t seed = 0; seed < 25; ++seed) {
    CAPTURE(seed);
    const TemporaryFolder folder;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t writer = ::fork();
    if (writer == 0) {
      Journal journal(folder / "journal.sqlite", header_of("p"));
      for (std::uint32_t unit = 0;; ++unit) {
        journal.add_attempt(unit, unit + 1, 0);
        journal.end_attempt(unit + 1, AttemptEnd::committed);
        journal.settle(unit, unit + 1, record_text(unit), "2026-01-01T00:00:00Z");
        if (unit % 3 != 2) continue;
        journal.commit();
        if (::write(ends[1], &unit, sizeof unit) != sizeof unit) ::_exit(1);  // acknowledged
      }
    }
    ::close(ends[1]);
    Random random(seed);
    const std::uint64_t acknowledgements = 1 + random.below(40);
    std::uint32_t last = 0;
    for (std::uint64_t i = 0; i < acknowledgements; ++i) REQUIRE(::read(ends[0], &last, sizeof last) == sizeof last);
    ::usleep(useconds_t(random.below(3000)));
    ::kill(writer, SIGKILL);
    ::waitpid(writer, nullptr, 0);
    std::uint32_t later = 0;
    while (::read(ends[0], &later, sizeof later) == sizeof later) last = later;  // acknowledged before the end came
    ::close(ends[0]);

    const Journal journal(folder / "journal.sqlite", header_of("p"));
    std::uint32_t next = 0;
    journal.settled([&](Scheduler::Unit unit, std::string_view text) {
      REQUIRE(unit == next++);
      REQUIRE(text == record_text(unit));
    });
    CHECK(next > last);
    CHECK(next % 3 == 0);  // whole commits only
  }
}

TEST_CASE("a full disk stops the journal with words, and room lets it go on with everything") {
  const TemporaryFolder folder;
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);  // the limit on file sizes stands in for a full disk: writes fail in the same way
    Journal journal(folder / "journal.sqlite", header_of("p"));
    journal.settle(0, 1, record_text(0), "2026-01-01T00:00:00Z");
    journal.commit();
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t no_limit = limit.rlim_cur;
    limit.rlim_cur = 256 << 10;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    bool refused = false;
    for (std::uint32_t unit = 1; unit < 2000; ++unit) {
      journal.settle(unit, unit + 1, record_text(600), "2026-01-01T00:00:00Z");
      try {
        journal.commit();
      } catch (const StorageError& error) {
        refused = std::string(error.what()).find("cannot be written") != std::string::npos;
        if (!refused || journal.pending() != 1) ::_exit(2);
        limit.rlim_cur = no_limit;
        ::setrlimit(RLIMIT_FSIZE, &limit);
        journal.commit();
        if (journal.pending() != 0) ::_exit(3);
      }
    }
    ::_exit(refused && journal.settled_count() == 2000 ? 7 : 4);
  });
  CHECK(WEXITSTATUS(status) == 7);
  const Journal journal(folder / "journal.sqlite", header_of("p"));
  CHECK(journal.settled_count() == 2000);
}

TEST_CASE("a damaged journal is refused in one sentence or reads as it was, never as something else") {
  const TemporaryFolder folder;
  const fs::path path = folder / "journal.sqlite";
  {
    Journal journal(path, header_of("p"));
    for (std::uint32_t unit = 0; unit < 40; ++unit)
      journal.settle(unit, unit + 1, record_text(unit * 17), "2026-01-01T00:00:00Z");
    journal.commit();
  }
  REQUIRE_FALSE(fs::exists(path.string() + "-wal"));
  const std::string good = read_file(path);
  int refusals = 0;
  const auto inspect = [&](const std::string& bytes) {
    write_file_atomically(path, bytes);
    try {
      const Journal journal(path, header_of("p"));
      journal.settled([&](Scheduler::Unit, std::string_view) {});
    } catch (const DataError& error) {
      ++refusals;
      CHECK(std::string(error.what()).find("damaged") != std::string::npos);
    } catch (const InputError&) {
      ++refusals;
    }
  };
  inspect(
      "this is not a database, but it is longer than a header of a hundred bytes, so that it is looked at closely.........");
  CHECK(refusals == 1);
  for (std::size_t size = 512; size < good.size(); size += 4096) inspect(good.substr(0, size));
  CHECK(refusals > 3);
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    for (int flips = 0; flips < 20; ++flips) bad[random.below(bad.size())] ^= char(1 + random.below(255));
    inspect(bad);
  }
}

}  // namespace
}  // namespace qb
