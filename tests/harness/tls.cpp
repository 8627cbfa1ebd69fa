#include "harness/tls.h"

#include <doctest/doctest.h>

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <filesystem>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "tests/harness/test_server.h"
#include "workers/wire/http_client.h"

namespace qb {
namespace {

constexpr std::chrono::milliseconds kPatience{5000};

Endpoint endpoint_of(const TestServer& server, const std::string& fingerprint) {
  return parse_endpoint(fmt::format("127.0.0.1:{}", server.port()), kToken, fingerprint);
}

TEST_CASE("a worker that knows the certificate is served over TLS; nobody else learns anything") {
  const TemporaryFolder folder;
  const TlsFiles files = tls_files(folder.path());
  make_self_signed(files);
  const std::string fingerprint = certificate_fingerprint(files.certificate);
  const auto tls = server_tls(files);
  TestServer server(invented_study(1, 2, 1), quick_limits(), tls.get());

  HttpClient client(endpoint_of(server, fingerprint));
  CHECK(client.get("/v1/run", kPatience).status == 200);
  const HttpAnswer registered = client.post("/v1/workers", to_json(invented_registration("far")), kPatience);
  REQUIRE(registered.status == 200);
  CHECK(Json::parse(registered.body)["worker"].get<std::string>().size() == 16);

  std::string other = fingerprint;
  other[0] = other[0] == '0' ? '1' : '0';
  HttpClient deceived(endpoint_of(server, other));
  CHECK_THROWS_AS(deceived.get("/v1/run", kPatience), LinkError);
  HttpClient in_the_clear(endpoint_of(server, ""));
  CHECK_THROWS_AS(in_the_clear.get("/v1/run", kPatience), LinkError);
  RawClient raw(server.port());
  raw.send("GET /healthz HTTP/1.1\r\n\r\n");
  CHECK(raw.answer(2000).status == 0);
  CHECK(client.get("/v1/run", kPatience).status == 200);  // the others did no harm
}

TEST_CASE("a certificate is made once, its key is the owner's alone, and what does not fit is refused") {
  const TemporaryFolder folder;
  const TlsFiles files = tls_files(folder.path());
  make_self_signed(files);
  namespace fs = std::filesystem;
  CHECK((fs::status(files.key).permissions() & fs::perms::all) == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(certificate_fingerprint(files.certificate).size() == 64);
  CHECK_THROWS_WITH_AS(make_self_signed(files), doctest::Contains("exists already"), InputError);
  const TlsFiles others = tls_files(folder / "other");
  make_self_signed(others);
  CHECK(certificate_fingerprint(others.certificate) != certificate_fingerprint(files.certificate));
  CHECK_THROWS_AS(server_tls({files.certificate, others.key}), DataError);
  write_file_atomically(files.certificate, "no certificate");
  CHECK_THROWS_AS(certificate_fingerprint(files.certificate), DataError);
}

}  // namespace
}  // namespace qb
