// A coordinator that is listened to, and the words of a worker to it.
#pragma once
#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include "harness/api.h"
#include "kernels/base/clock.h"
#include "kernels/base/digest.h"
#include "kernels/base/files.h"
#include "tests/harness/invented_study.h"
#include "tests/harness/raw_client.h"
#include "tests/harness/temporary_folder.h"

namespace qb {

inline const std::string kToken = "0123456789abcdef0123456789abcdef";

inline PeerLimits quick_limits() {
  PeerLimits limits;
  limits.patience = std::chrono::milliseconds(300);
  limits.connections = 12;
  limits.connections_per_address = 8;
  limits.login_delay = std::chrono::milliseconds(1);
  return limits;
}

/// A coordinator on a port of its own, on a thread of its own.
class TestServer {
 public:
  explicit TestServer(Study study = invented_study(1, 2, 1), const PeerLimits& limits = quick_limits(),
                      boost::asio::ssl::context* tls = nullptr)
      : plan_(make_plan(std::move(study))),
        journal_(folder_ / "journal.sqlite", {plan_.run_id, plan_.digest, "s", "{}", "b", "2026-01-01T00:00:00Z"}),
        coordinator_(plan_, journal_, OldLeases::keep, now_ns()),
        api_(context_, coordinator_, blobs(), kToken),
        server_(context_, "127.0.0.1", 0, limits, api_.handlers(), tls),
        thread_([this] { context_.run(); }) {}
  ~TestServer() {
    context_.stop();
    thread_.join();
  }
  std::uint16_t port() const { return server_.port(); }
  const Plan& plan() const { return plan_; }
  HttpCounters counters() {
    std::promise<HttpCounters> read;
    boost::asio::post(context_, [&] { read.set_value(server_.counters()); });
    return read.get_future().get();
  }
  /// As the run loop does now and then; returns when it is done.
  void flush() {
    std::promise<void> done;
    boost::asio::post(context_, [&] {
      api_.flush();
      done.set_value();
    });
    done.get_future().wait();
  }
  static std::string blob_bytes() {
    std::string bytes;
    for (int i = 0; i < 300'000; ++i) bytes.push_back(char(i * 7 + i / 256));
    return bytes;
  }

 private:
  Api::Blobs blobs() {
    write_file_atomically(folder_ / "blob", blob_bytes());
    return {{sha256_hex(blob_bytes()), {folder_ / "blob", blob_bytes().size()}}};
  }
  TemporaryFolder folder_;
  Plan plan_;
  Journal journal_;
  Coordinator coordinator_;
  boost::asio::io_context context_{1};
  Api api_;
  HttpServer server_;
  std::thread thread_;
};

inline std::string text_of(const Json& json) { return canonical_text(json); }

inline std::string register_worker(RawClient& client, const std::string& name) {
  const RawAnswer answer = client.post("/v1/workers", kToken, text_of(to_json(invented_registration(name))));
  REQUIRE(answer.status == 200);
  return registration_answer_from_json(answer.json(), "answer", Blame::peer).worker;
}

inline std::vector<Lease> lease(RawClient& client, const std::string& worker, int count) {
  const RawAnswer answer = client.post("/v1/leases", kToken, text_of(to_json(LeaseRequest{worker, 0, count})));
  if (answer.status == 204) return {};
  REQUIRE(answer.status == 200);
  return leases_from_json(answer.json(), "answer", Blame::peer);
}

inline ResultAnswer report(RawClient& client, const std::string& worker, const Measurement& measurement) {
  const RawAnswer answer = client.post("/v1/results", kToken, text_of(results_to_json(worker, {measurement})));
  REQUIRE(answer.status == 200);
  return result_answers_from_json(answer.json(), "answer", Blame::peer).at(0);
}

}  // namespace qb
