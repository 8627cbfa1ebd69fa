// A worker's session against a coordinator that loses answers, forgets, falls silent, ends and comes back.
#include "workers/session.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "tests/workers/sample_records.h"
#include "tests/workers/tiny_server.h"
#include "workers/spool.h"

namespace qb {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kToken = "a-token-for-tests";

struct Folder {
  Folder()
      : path(fs::temp_directory_path() /
             ("qb-session-" + std::to_string(::getpid()) + "-" + std::to_string(now_ns()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

/// A unit whose model is a file of this folder, and a child that answers with a prepared record.
struct Bench {
  Bench() {
    write_file_atomically(folder.path / "model.onnx", "model");
    unit = sample_unit();
    unit.model.files = {{"model.onnx", sha256_hex("model"), 5}};
    unit.id = unit_id(unit);
    Measurement record = sample_measurement();
    record.unit = unit.id;
    write_file_atomically(folder.path / "result", "result " + canonical_text(to_json(record)) + "\n");
  }
  SessionOptions options(int port) const {
    SessionOptions options;
    options.endpoint = parse_endpoint("127.0.0.1:" + std::to_string(port), kToken, "");
    options.name = "tester";
    options.profile = sample_profile();
    options.roots = {folder.path};
    options.cache = folder.path / "cache";
    options.spool = folder.path / "spool";
    options.child = {"/bin/sh", "-c", "cat >/dev/null; cat " + (folder.path / "result").string() + " >&3"};
    options.lease_wait_s = 0.05;
    options.death_timeout_s = 20;
    options.say = [](const std::string&) {};
    return options;
  }
  Folder folder;
  WorkUnit unit;
};

/// What a coordinator does by the book: one unit, then the run is over.
struct Book {
  explicit Book(WorkUnit the_unit) : unit(std::move(the_unit)) {}

  TinyAnswer answer(const TinyRequest& request) {
    const std::lock_guard guard(mutex);
    if (request.headers.at("authorization") != std::string("Bearer ") + kToken) return {401, "{}"};
    const Json body = parse_json(request.body, "request", Blame::peer, {});
    targets.push_back(request.target);
    if (request.target == "/v1/workers") {
      registration_from_json(body, "registration", Blame::peer);
      return {200, canonical_text(to_json(RegistrationAnswer{"w-1", 120}))};
    }
    if (request.target == "/v1/leases") {
      lease_request_from_json(body, "lease", Blame::peer);
      if (settled) return {410, "{}"};
      return {200, canonical_text(to_json(std::vector<Lease>{{4, unit}}))};
    }
    if (request.target == "/v1/results") {
      std::string worker;
      reported = results_from_json(body, worker, "results", Blame::peer);
      const ResultVerdict verdict = settled ? ResultVerdict::repeated : ResultVerdict::settled;
      settled = true;
      return {200, canonical_text(to_json(std::vector<ResultAnswer>{{reported.at(0).unit, verdict, ""}}))};
    }
    if (request.target == "/v1/leases/" + unit.id + "/renew") {
      renew_request_from_json(body, "renewal", Blame::peer);
      return {200, "{}"};
    }
    return {404, "{}"};
  }
  std::int64_t count(const std::string& target) {
    const std::lock_guard guard(mutex);
    return std::count(targets.begin(), targets.end(), target);
  }
  std::vector<Measurement> results() {
    const std::lock_guard guard(mutex);
    return reported;
  }

  WorkUnit unit;
  std::mutex mutex;
  std::vector<std::string> targets;
  std::vector<Measurement> reported;
  bool settled = false;
};

TEST_CASE("a session registers, measures, delivers, and ends with the run") {
  const Bench bench;
  Book book(bench.unit);
  const TinyServer server([&](const TinyRequest& r) { return book.answer(r); });
  CHECK(run_session(bench.options(server.port())) == kExitDone);
  REQUIRE(book.results().size() == 1);
  CHECK(book.results()[0].unit == bench.unit.id);
  CHECK(book.results()[0].outcome == Outcome::ok);
  CHECK(book.results()[0].epoch == 4);
  CHECK(book.results()[0].worker == "w-1");
  CHECK(book.results()[0].machine_key == sample_profile().machine_key);
  CHECK(Spool(bench.folder.path / "spool").waiting().empty());
}

TEST_CASE("a result whose acknowledgement is lost is sent again") {
  const Bench bench;
  Book book(bench.unit);
  int lost = 0;
  const TinyServer server([&](const TinyRequest& r) {
    TinyAnswer answer = book.answer(r);
    answer.vanish = r.target == "/v1/results" && lost++ < 3;
    return answer;
  });
  CHECK(run_session(bench.options(server.port())) == kExitDone);
  CHECK(book.count("/v1/results") == 4);
  CHECK(Spool(bench.folder.path / "spool").waiting().empty());
}

TEST_CASE("results wait in the spool for the next start") {
  const Bench bench;
  Measurement kept = sample_measurement();
  kept.unit = bench.unit.id;
  Spool(bench.folder.path / "spool").keep(kept);
  write_file_atomically(bench.folder.path / "spool" / "broken.json", "{");
  Book book(bench.unit);
  const TinyServer server([&](const TinyRequest& r) { return book.answer(r); });
  CHECK(run_session(bench.options(server.port())) == kExitDone);
  REQUIRE(book.results().size() == 1);
  CHECK(measurement_digest(book.results()[0]) == measurement_digest(kept));
  CHECK(book.count("/v1/leases") == 1);
  CHECK(fs::exists(bench.folder.path / "spool" / "broken.damaged"));
}

TEST_CASE("a coordinator that goes away and comes back without memory is registered with again") {
  const Bench bench;
  Book book(bench.unit);
  auto first = std::make_unique<TinyServer>([&](const TinyRequest& r) {
    TinyAnswer answer = book.answer(r);
    answer.vanish = r.target == "/v1/results";
    return answer;
  });
  const int port = first->port();
  std::thread absence([&] {
    for (bool delivered = false; !delivered; std::this_thread::sleep_for(10ms)) {
      const std::lock_guard guard(book.mutex);
      delivered = book.settled;
    }
    first.reset();
    std::this_thread::sleep_for(300ms);
    int registered = 0;
    first = std::make_unique<TinyServer>(
        [&book, registered](const TinyRequest& r) mutable {
          if (r.target == "/v1/workers") ++registered;
          return registered == 0 ? TinyAnswer{404, "{}"} : book.answer(r);
        },
        port);
  });
  CHECK(run_session(bench.options(port)) == kExitDone);
  absence.join();
  CHECK(book.count("/v1/workers") == 2);
  CHECK(book.results().size() == 1);
  CHECK(Spool(bench.folder.path / "spool").waiting().empty());
}

TEST_CASE("heartbeats renew while the child works") {
  const Bench bench;
  Book book(bench.unit);
  const TinyServer server([&](const TinyRequest& r) { return book.answer(r); });
  SessionOptions options = bench.options(server.port());
  options.child[2] = "sleep 1; " + options.child[2];
  options.heartbeat_s = 0.1;
  CHECK(run_session(options) == kExitDone);
  CHECK(book.count("/v1/leases/" + bench.unit.id + "/renew") >= 3);
  CHECK(book.results().size() == 1);
}

TEST_CASE("without an acknowledgement the child is ended, and its result never sent") {
  const Bench bench;
  Book book(bench.unit);
  int leases = 0;
  const TinyServer server([&](const TinyRequest& r) {
    if (r.target == "/v1/leases" && leases++ > 0) return TinyAnswer{410, "{}"};
    TinyAnswer answer = book.answer(r);
    answer.vanish = r.target.ends_with("/renew");
    return answer;
  });
  SessionOptions options = bench.options(server.port());
  options.child[2] = "touch " + (bench.folder.path / "started").string() + "; sleep 30; touch " +
                     (bench.folder.path / "ended").string();
  options.heartbeat_s = 0.05;
  options.silence_s = 0.5;
  CHECK(run_session(options) == kExitDone);
  CHECK(fs::exists(bench.folder.path / "started"));
  CHECK_FALSE(fs::exists(bench.folder.path / "ended"));
  CHECK(book.results().empty());
}

TEST_CASE("a lost lease ends the work") {
  const Bench bench;
  Book book(bench.unit);
  int leases = 0;
  const TinyServer server([&](const TinyRequest& r) {
    if (r.target == "/v1/leases" && leases++ > 0) return TinyAnswer{410, "{}"};
    return r.target.ends_with("/renew") ? TinyAnswer{409, "{}"} : book.answer(r);
  });
  SessionOptions options = bench.options(server.port());
  options.child[2] = "sleep 30";
  options.heartbeat_s = 0.05;
  CHECK(run_session(options) == kExitDone);
  CHECK(book.results().empty());
}

TEST_CASE("a unit whose files are nowhere is failed with the places that were searched") {
  const Bench bench;
  fs::remove(bench.folder.path / "model.onnx");
  Book book(bench.unit);
  const TinyServer server([&](const TinyRequest& r) {
    return r.method == "GET" ? TinyAnswer{404, ""} : book.answer(r);
  });
  CHECK(run_session(bench.options(server.port())) == kExitDone);
  REQUIRE(book.results().size() == 1);
  CHECK(book.results()[0].outcome == Outcome::failed);
  CHECK(book.results()[0].reason.find("model.onnx") != std::string::npos);
}

TEST_CASE("files that are not here come from the coordinator, verified") {
  const Bench bench;
  fs::remove(bench.folder.path / "model.onnx");
  Book book(bench.unit);
  std::string blob = "model";
  const TinyServer server([&](const TinyRequest& r) {
    if (r.method != "GET") return book.answer(r);
    CHECK(r.target == "/v1/blobs/" + sha256_hex("model"));
    CHECK(r.headers.at("range") == "bytes=0-4");
    return TinyAnswer{206, blob};
  });
  SUBCASE("good bytes are kept in the cache") {
    CHECK(run_session(bench.options(server.port())) == kExitDone);
    CHECK(book.results().at(0).outcome == Outcome::ok);
    CHECK(read_file(bench.folder.path / "cache" / "blobs" / sha256_hex("model")) == "model");
  }
  SUBCASE("other bytes are refused") {
    blob = "wrong";
    CHECK(run_session(bench.options(server.port())) == kExitDone);
    CHECK(book.results().at(0).outcome == Outcome::failed);
    CHECK(book.results().at(0).reason.find("digest") != std::string::npos);
    CHECK(fs::is_empty(bench.folder.path / "cache" / "blobs"));
  }
}

TEST_CASE("a wrong token and another protocol version end the session in words") {
  const Bench bench;
  const TinyServer strict([](const TinyRequest&) { return TinyAnswer{401, "{}"}; });
  CHECK_THROWS_WITH_AS(run_session(bench.options(strict.port())), doctest::Contains("token"), InputError);
  const TinyServer newer([](const TinyRequest&) { return TinyAnswer{409, "this coordinator speaks version 9"}; });
  CHECK_THROWS_WITH_AS(run_session(bench.options(newer.port())), doctest::Contains("version 9"), InputError);
}

TEST_CASE("a worker gives up when there is no coordinator for long") {
  const Bench bench;
  int port = 0;
  {
    port = TinyServer([](const TinyRequest&) { return TinyAnswer{}; }).port();
  }
  SessionOptions options = bench.options(port);
  options.death_timeout_s = 0.5;
  CHECK_THROWS_WITH_AS(run_session(options), doctest::Contains("no coordinator"), InputError);
}

TEST_CASE("a drain ends the session after its unit, a second request at once") {
  const Bench bench;
  Book book(bench.unit);
  const TinyServer server([&](const TinyRequest& r) { return book.answer(r); });
  SessionOptions options = bench.options(server.port());
  const fs::path started = bench.folder.path / "started";
  options.child[2] = "touch " + started.string() + "; sleep 0.5; " + options.child[2];
  int requests = 1;
  SUBCASE("once") {}
  SUBCASE("twice") { requests = 2; }
  std::thread drain([&] {
    while (!fs::exists(started)) std::this_thread::sleep_for(10ms);
    for (int i = 0; i < requests; ++i) request_drain();
  });
  CHECK(run_session(options) == kExitDone);
  drain.join();
  CHECK(book.results().size() == (requests == 1 ? 1 : 0));
  CHECK(book.count("/v1/leases") == 1);
}

TEST_CASE("idle workers end when told to, and --once ends after one unit") {
  const Bench bench;
  Book book(bench.unit);
  const TinyServer idle([&](const TinyRequest& r) {
    return r.target == "/v1/leases" ? TinyAnswer{204, ""} : book.answer(r);
  });
  SessionOptions options = bench.options(idle.port());
  options.idle_timeout_s = 0.2;
  CHECK(run_session(options) == kExitDone);
  const TinyServer server([&](const TinyRequest& r) { return book.answer(r); });
  options = bench.options(server.port());
  options.once = true;
  CHECK(run_session(options) == kExitDone);
  CHECK(book.results().size() == 1);
}

TEST_CASE("a heartbeat is due, and silence counts from the last renewal that was acknowledged") {
  Heartbeat heartbeat(10, 100, 1000);
  CHECK(heartbeat.next_s() == 1010);
  heartbeat.sent(1010);
  CHECK(heartbeat.next_s() == 1020);
  CHECK_FALSE(heartbeat.silent(1099));
  CHECK(heartbeat.silent(1100));
  heartbeat.acknowledged(1010);
  CHECK_FALSE(heartbeat.silent(1109));
  CHECK(heartbeat.silent(1110));
}

TEST_CASE("waits between attempts grow to five seconds and are jittered") {
  Backoff backoff(1);
  double bound = 0.1;
  for (int i = 0; i < 12; ++i) {
    const double wait_s = backoff.next_s();
    CHECK(wait_s <= bound);
    CHECK(wait_s >= bound / 2);
    bound = std::min(5.0, 2 * bound);
  }
  backoff.reset();
  CHECK(backoff.next_s() <= 0.1);
}

TEST_CASE("addresses are HOST:PORT, and only loopback goes without a certificate") {
  CHECK(parse_endpoint("127.0.0.1:80", "t", "").port == "80");
  CHECK(parse_endpoint("[::1]:80", "t", "").host == "::1");
  CHECK(parse_endpoint("localhost:80", "t", "").host == "localhost");
  CHECK(parse_endpoint("10.0.0.1:80", "t", std::string(64, 'A')).fingerprint == std::string(64, 'a'));
  for (const char* text :
       {"", "host", "host:", ":80", "host:0", "host:65536", "host:8o", "10.0.0.1:80", "example.org:80"})
    CHECK_THROWS_AS(parse_endpoint(text, "t", ""), InputError);
  CHECK_THROWS_AS(parse_endpoint("10.0.0.1:80", "t", "abc"), InputError);
}

TEST_CASE("a silent peer costs no more than the patience") {
  const TinyServer server([](const TinyRequest&) {
    std::this_thread::sleep_for(1s);
    return TinyAnswer{};
  });
  HttpClient client(parse_endpoint("127.0.0.1:" + std::to_string(server.port()), kToken, ""));
  CHECK_THROWS_AS(client.post("/v1/workers", Json::object(), 100ms), LinkError);
}

}  // namespace
}  // namespace qb
