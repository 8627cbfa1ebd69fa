#include "harness/api.h"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "kernels/base/digest.h"
#include "tests/harness/test_server.h"

namespace qb {
namespace {

TEST_CASE("a worker registers, leases, renews and reports; the run is over when all is settled") {
  TestServer server;
  RawClient client(server.port());
  const std::string worker = register_worker(client, "one");
  CHECK(register_worker(client, "one") == worker);  // the same incarnation is the same worker
  const auto leases = lease(client, worker, 3);
  REQUIRE(leases.size() == 3);
  const std::string renewal = "/v1/leases/" + leases[0].unit.id + "/renew";
  CHECK(client.post(renewal, kToken, text_of(to_json(RenewRequest{worker, leases[0].epoch, "timing"}))).status == 200);
  CHECK(client.post(renewal, kToken, text_of(to_json(RenewRequest{worker, leases[0].epoch + 100, "timing"}))).status ==
        409);

  Measurement first = invented_measurement(leases[0], worker, std::string(64, 'a'));
  CHECK(report(client, worker, first).verdict == ResultVerdict::settled);
  CHECK(report(client, worker, first).verdict == ResultVerdict::repeated);
  first.packed_bytes = 7;
  CHECK(report(client, worker, first).verdict == ResultVerdict::shadow);
  Measurement stray = invented_measurement(leases[1], worker, std::string(64, 'b'));
  CHECK(report(client, worker, stray).verdict == ResultVerdict::invalid);
  stray = invented_measurement(leases[1], worker, std::string(64, 'a'));
  stray.epoch = 12345;
  CHECK(report(client, worker, stray).verdict == ResultVerdict::invalid);

  const Json run = client.get("/v1/run", kToken).json();
  CHECK(run["settled"] == 1);
  CHECK(run["leased"] == 2);
  CHECK(run["shadows"] == 1);
  CHECK(run["outcomes"]["ok"] == 1);
  CHECK(run["workers"][0]["name"] == "one");
  CHECK(run["recent"][0]["outcome"] == "ok");
  for (const Lease& rest : {leases[1], leases[2]})
    report(client, worker, invented_measurement(rest, worker, std::string(64, 'a')));
  for (auto more = lease(client, worker, 50); !more.empty();) {
    std::vector<Measurement> all;
    for (const Lease& one : more) all.push_back(invented_measurement(one, worker, std::string(64, 'a')));
    CHECK(client.post("/v1/results", kToken, text_of(results_to_json(worker, all))).status == 200);
    break;
  }
  CHECK(client.post("/v1/leases", kToken, text_of(to_json(LeaseRequest{worker, 0, 1}))).status == 410);
}

TEST_CASE("one bad result among good ones harms no other, and an error that may pass waits again") {
  TestServer server;
  RawClient client(server.port());
  const std::string worker = register_worker(client, "one");
  const auto leases = lease(client, worker, 2);
  Measurement failed = invented_measurement(leases[1], worker, std::string(64, 'a'));
  failed.outcome = Outcome::failed;
  failed.reason = "the child crashed";
  failed.passing = true;
  Json body = results_to_json(worker, {invented_measurement(leases[0], worker, std::string(64, 'a')), failed});
  body["results"].insert(body["results"].begin(), Json{{"unit", leases[0].unit.id}, {"speed", 3}});
  const RawAnswer answer = client.post("/v1/results", kToken, text_of(body));
  REQUIRE(answer.status == 200);
  const auto answers = result_answers_from_json(answer.json(), "answer", Blame::peer);
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].verdict == ResultVerdict::invalid);
  CHECK(answers[0].unit == leases[0].unit.id);
  CHECK(answers[1].verdict == ResultVerdict::settled);
  CHECK(answers[2].verdict == ResultVerdict::shadow);
  CHECK(answers[2].reason.find("waits again") != std::string::npos);
}

TEST_CASE("what a unit itself fails by is its record at once") {
  TestServer server;
  RawClient client(server.port());
  const std::string worker = register_worker(client, "one");
  Measurement failed = invented_measurement(lease(client, worker, 1).at(0), worker, std::string(64, 'a'));
  failed.outcome = Outcome::failed;
  failed.reason = "the kernel is beyond its bound";
  CHECK(report(client, worker, failed).verdict == ResultVerdict::settled);
  CHECK(client.get("/v1/run", kToken).json()["outcomes"]["failed"] == 1);
}

TEST_CASE(
    "a full disk: nothing is granted or acknowledged, the reason is said, and with room it goes on with the same result") {
  TestServer server;
  RawClient client(server.port());
  const std::string worker = register_worker(client, "one");
  const auto leases = lease(client, worker, 2);
  REQUIRE(leases.size() == 2);
  const std::string result =
      text_of(results_to_json(worker, {invented_measurement(leases[0], worker, std::string(64, 'a'))}));
  std::signal(SIGXFSZ, SIG_IGN);  // the limit on file sizes stands in for a full disk: writes fail in the same way
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{1024, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const RawAnswer stalled = client.post("/v1/results", kToken, result);
  const RawAnswer no_lease =
      RawClient(server.port()).post("/v1/leases", kToken, text_of(to_json(LeaseRequest{worker, 0, 1})));
  const RawAnswer status = RawClient(server.port()).get("/v1/run", kToken);
  const RawAnswer metrics = RawClient(server.port()).get("/metrics", kToken);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  CHECK(stalled.status == 503);
  CHECK(stalled.json()["error"].get<std::string>().find("cannot be written") != std::string::npos);
  CHECK(no_lease.status == 503);
  CHECK(status.json()["storage_fault"].get<std::string>().find("journal") != std::string::npos);
  CHECK(metrics.body.find("quantbench_journal_fault 1\n") != std::string::npos);
  server.flush();
  const RawAnswer again = RawClient(server.port()).post("/v1/results", kToken, result);
  REQUIRE(again.status == 200);
  CHECK(result_answers_from_json(again.json(), "answer", Blame::peer).at(0).verdict == ResultVerdict::repeated);
  CHECK(RawClient(server.port()).get("/v1/run", kToken).json()["storage_fault"] == "");
}

TEST_CASE("a request for units waits until there is one, and ends when the peer leaves") {
  TestServer server(invented_study(1, 1, 1));
  RawClient client(server.port()), other(server.port());
  const std::string worker = register_worker(client, "one"), waiting = register_worker(other, "two");
  const auto leases = lease(client, worker, 100);
  other.send(fmt::format("POST /v1/leases HTTP/1.1\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}", kToken,
                         text_of(to_json(LeaseRequest{waiting, 30, 1})).size(),
                         text_of(to_json(LeaseRequest{waiting, 30, 1}))));
  Measurement failed = invented_measurement(leases[0], worker, std::string(64, 'a'));
  failed.outcome = Outcome::failed;
  failed.reason = "first error";
  failed.passing = true;
  report(client, worker, failed);
  const RawAnswer answer = other.answer();
  REQUIRE(answer.status == 200);
  CHECK(leases_from_json(answer.json(), "answer", Blame::peer).at(0).unit.id == leases[0].unit.id);
}

TEST_CASE("whoever has no token learns nothing and changes nothing") {
  TestServer server;
  for (const std::string& token : {std::string(), std::string("wrong"), kToken + "x", kToken.substr(1)}) {
    RawClient client(server.port());
    const RawAnswer answer = client.get("/v1/run", token);
    CHECK(answer.status == 401);
    CHECK(answer.json()["error"].get<std::string>().find("token") != std::string::npos);
    CHECK(client.closed_within(3000));
  }
  RawClient client(server.port());
  client.send("POST /v1/results HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n");  // refused before the body is sent
  CHECK(client.answer().status == 401);
  CHECK(RawClient(server.port()).get("/healthz", "").status == 200);
  const RawAnswer page = RawClient(server.port()).get("/", "");
  CHECK(page.status == 200);
  CHECK(page.body.find("http://") == std::string::npos);  // nothing from elsewhere
  CHECK(page.body.find("https://") == std::string::npos);
  CHECK(page.body.find(server.plan().run_id) == std::string::npos);
  CHECK(server.counters().failed_logins == 5);
}

TEST_CASE("what is not there, or asked for in the wrong way, is said") {
  TestServer server;
  RawClient client(server.port());
  CHECK(client.get("/v1/rum", kToken).json()["error"].get<std::string>().find("did you mean '/v1/run'?") !=
        std::string::npos);
  RawClient again(server.port());
  const RawAnswer answer = again.get("/v1/leases", kToken);
  CHECK(answer.status == 405);
  CHECK(answer.head.find("Allow: POST") != std::string::npos);
  RawClient third(server.port());
  const std::string nobody = text_of(to_json(LeaseRequest{"nobody", 0, 1}));
  CHECK(third.post("/v1/leases", kToken, nobody).status == 404);
  Registration other = invented_registration("one");
  other.protocol = 99;
  const RawAnswer version = third.post("/v1/workers", kToken, text_of(to_json(other)));
  CHECK(version.status == 409);
  CHECK(version.json()["error"].get<std::string>().find("protocol version 99") != std::string::npos);
}

TEST_CASE("torn, oversized, deep, foreign and silent requests are answered in words or dropped; good peers go on") {
  TestServer server;
  RawClient good(server.port());
  const std::string head = "POST /v1/workers HTTP/1.1\r\nAuthorization: Bearer " + kToken + "\r\n";
  const auto status_of = [&](const std::string& bytes) {
    RawClient bad(server.port());
    bad.send(bytes);
    return bad.answer().status;
  };
  CHECK(status_of("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n") == 431);
  CHECK(status_of(head + "Content-Length: 99999999\r\n\r\n") == 413);
  CHECK(status_of("\x16\x03\x01\x02\x00 a TLS greeting") == 400);
  CHECK(status_of("nonsense\r\n\r\n") == 400);
  const auto body_status = [&](const std::string& body) {
    return RawClient(server.port()).post("/v1/workers", kToken, body).status;
  };
  CHECK(body_status("") == 400);
  CHECK(body_status("{") == 400);
  CHECK(body_status(std::string(100'000, '[')) == 400);
  CHECK(body_status("{\"protocol\": 1e999}") == 400);
  CHECK(body_status("{\"protocol\": 1, \"name\": \"\xff\"}") == 400);
  CHECK(body_status("{\"protocol\": 1, \"name\": \"" + std::string(9'000, 'x') + "\"}") == 400);
  CHECK(body_status("[1, 2]") == 400);
  const std::string whole = text_of(to_json(invented_registration("torn")));
  for (std::size_t size = 1; size < whole.size(); size += 37) CHECK(body_status(whole.substr(0, size)) == 400);

  RawClient torn(server.port()), silent(server.port());
  torn.send(head + "Content-Length: 500\r\n\r\n{\"proto");
  CHECK(torn.closed_within(5000));
  CHECK(silent.closed_within(5000));
  CHECK(good.closed_within(5000));  // even a good peer is let go when it says nothing for long
  CHECK(RawClient(server.port()).get("/v1/run", kToken).json()["workers_alive"] == 0);
}

TEST_CASE("more connections than allowed are closed, and the others live") {
  TestServer server;
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 20; ++i) crowd.push_back(std::make_unique<RawClient>(server.port()));
  int served = 0;
  for (const auto& client : crowd) {
    client->send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    served += client->answer(2000).status == 200;
  }
  CHECK(served == 8);
  crowd.clear();
  for (int tries = 0; tries < 100 && RawClient(server.port()).get("/healthz", "").status != 200; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(RawClient(server.port()).get("/healthz", "").status == 200);
}

TEST_CASE("blobs come whole and in ranges") {
  TestServer server;
  const std::string bytes = TestServer::blob_bytes(), target = "/v1/blobs/" + sha256_hex(bytes);
  RawClient client(server.port());
  const RawAnswer whole = client.get(target, kToken);
  CHECK(whole.status == 200);
  CHECK(whole.body == bytes);
  const RawAnswer part = client.get(target, kToken, "Range: bytes=1000-299998\r\n");
  CHECK(part.status == 206);
  CHECK(part.body == bytes.substr(1000, 298'999));
  CHECK(part.head.find("Content-Range: bytes 1000-299998/300000") != std::string::npos);
  CHECK(client.get(target, kToken, "Range: bytes=-5\r\n").body == bytes.substr(bytes.size() - 5));
  CHECK(client.get(target, kToken, "Range: bytes=299999-\r\n").body == bytes.substr(299'999));
  CHECK(client.get(target, kToken, "Range: bytes=300000-\r\n").status == 416);
  CHECK(client.get(target, kToken, "Range: bytes=9-1\r\n").status == 200);  // not understood: the whole
  CHECK(client.get("/v1/blobs/" + std::string(64, '0'), kToken).status == 404);
  CHECK(client.get("/v1/blobs/..%2fjournal.sqlite", kToken).status == 404);
}

TEST_CASE("ranges as RFC 9110 has them") {
  CHECK(parse_range("bytes=0-0", 10)->bytes == 1);
  CHECK(parse_range("bytes=2-", 10)->bytes == 8);
  CHECK(parse_range("bytes=-3", 10)->offset == 7);
  CHECK(parse_range("bytes=-30", 10)->bytes == 10);
  CHECK(parse_range("bytes=5-100", 10)->bytes == 5);
  CHECK(parse_range("bytes=0-9223372036854775807", 10)->bytes == 10);
  CHECK(parse_range("bytes=10-", 10)->bytes == 0);
  for (const char* bad : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-2,4-5", "items=1-2", "bytes=--1",
                          "bytes=1-99999999999999999999"})
    CHECK_FALSE(parse_range(bad, 10));
}

TEST_CASE("metrics are Prometheus text") {
  TestServer server;
  const RawAnswer answer = RawClient(server.port()).get("/metrics", kToken);
  CHECK(answer.status == 200);
  CHECK(answer.body.find("# TYPE quantbench_units gauge\nquantbench_units 8\n") != std::string::npos);
  CHECK(answer.body.find("quantbench_outcomes{outcome=\"failed\"} 0\n") != std::string::npos);
  for (const std::string_view line : split(answer.body, '\n')) {
    if (line.empty() || line.starts_with("# ")) continue;
    const auto parts = split(line, ' ');
    REQUIRE(parts.size() == 2);
    CHECK(parse_double(parts[1]));
  }
}

TEST_CASE("tokens are equal only when they are") {
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK_FALSE(equal_in_constant_time("abc", "abd"));
  CHECK_FALSE(equal_in_constant_time("abc", "abcd"));
  CHECK_FALSE(equal_in_constant_time("", "abc"));
}

TEST_CASE("a port in use is said by its number") {
  TestServer server;
  boost::asio::io_context context;
  CHECK_THROWS_WITH_AS(HttpServer(context, "127.0.0.1", server.port(), {}, {}),
                       doctest::Contains(fmt::format("port {} of 127.0.0.1 is in use", server.port()).c_str()),
                       InputError);
  CHECK_THROWS_AS(HttpServer(context, "localhost.", 0, {}, {}), InputError);
}

}  // namespace
}  // namespace qb
