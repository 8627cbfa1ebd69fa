#include "workers/wire/http_client.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "workers/records/record_fields.h"

namespace qb {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

namespace {

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

std::string fingerprint_of(SSL* session) {
  const std::unique_ptr<X509, void (*)(X509*)> certificate(SSL_get1_peer_certificate(session), X509_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) return {};
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, ""));
}

template <class Stream>
asio::awaitable<Response> converse(Stream& stream, beast::flat_buffer& buffer, const Request& request) {
  co_await http::async_write(stream, request, asio::use_awaitable);
  http::response_parser<http::string_body> parser;
  parser.header_limit(kHeaderBytes);
  parser.body_limit(kBodyBytes);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  co_return parser.release();
}

}  // namespace

Endpoint parse_endpoint(std::string_view text, std::string token, std::string fingerprint) {
  const std::size_t colon = text.rfind(':');
  const std::int64_t port = colon == std::string_view::npos ? 0 : parse_int(text.substr(colon + 1)).value_or(0);
  std::string host(text.substr(0, std::min(colon, text.size())));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.empty() || port < 1 || port > 65535)
    throw InputError(fmt::format("address '{}' is not HOST:PORT with a port from 1 to 65535", text));
  std::erase(fingerprint, ':');
  for (char& c : fingerprint) c = c >= 'A' && c <= 'F' ? char(c - 'A' + 'a') : c;
  if (!fingerprint.empty() && !is_digest(fingerprint))
    throw InputError("the certificate's fingerprint must be a SHA-256 in 64 hexadecimal digits");
  if (fingerprint.empty() && !is_loopback(host))
    throw InputError(fmt::format("address '{}' is not loopback, so a certificate fingerprint is needed", text));
  return {std::move(host), std::to_string(port), std::move(token), std::move(fingerprint)};
}

struct HttpClient::Link {
  explicit Link(Endpoint where) : endpoint(std::move(where)) {
    if (endpoint.fingerprint.empty()) return;
    // The pinned fingerprint is checked after the handshake and before a byte is sent; no authority is asked.
    tls.emplace(ssl::context::tlsv13_client);
    tls->set_verify_mode(ssl::verify_none);
  }

  beast::tcp_stream& lowest() { return plain ? *plain : secure->next_layer(); }
  bool connected() const { return plain.has_value() || secure.has_value(); }
  void drop() {
    plain.reset();
    secure.reset();
    buffer.clear();
  }

  asio::awaitable<void> connect() {
    tcp::resolver resolver(context);
    const tcp::resolver::results_type places =
        co_await resolver.async_resolve(endpoint.host, endpoint.port, asio::use_awaitable);
    if (tls)
      secure.emplace(context, *tls);
    else
      plain.emplace(context);
    lowest().expires_at(deadline);
    co_await lowest().async_connect(places, asio::use_awaitable);
    lowest().socket().set_option(tcp::no_delay(true));
    if (!tls) co_return;
    co_await secure->async_handshake(ssl::stream_base::client, asio::use_awaitable);
    const std::string shown = fingerprint_of(secure->native_handle());
    if (shown != endpoint.fingerprint)
      throw LinkError(fmt::format("the coordinator at {}:{} shows the certificate {}, but {} is pinned", endpoint.host,
                                  endpoint.port, shown, endpoint.fingerprint));
  }

  asio::awaitable<Response> exchange(const Request& request) {
    if (!connected()) co_await connect();
    lowest().expires_at(deadline);
    if (plain) co_return co_await converse(*plain, buffer, request);
    co_return co_await converse(*secure, buffer, request);
  }

  /// One attempt on the connection as it is; throws whatever went wrong with the connection dropped.
  Response attempt(const Request& request) {
    std::optional<Response> response;
    std::exception_ptr failure;
    asio::co_spawn(context, exchange(request), [&](std::exception_ptr error, Response result) {
      failure = error;
      if (!error) response = std::move(result);
    });
    context.restart();
    context.run();
    if (failure || !response->keep_alive()) drop();
    if (failure) std::rethrow_exception(failure);
    return std::move(*response);
  }

  HttpAnswer send(Request request, std::chrono::milliseconds patience) {
    request.set(http::field::host, endpoint.host);
    request.set(http::field::authorization, "Bearer " + endpoint.token);
    request.prepare_payload();
    deadline = std::chrono::steady_clock::now() + patience;
    for (bool kept = connected();; kept = false) {
      try {
        Response response = attempt(request);
        return {int(response.result_int()), std::move(response.body())};
      } catch (const boost::system::system_error& error) {
        if (kept && error.code() != beast::error::timeout) continue;
        throw LinkError(fmt::format("the coordinator at {}:{} does not answer: {}", endpoint.host, endpoint.port,
                                    error.code().message()));
      }
    }
  }

  Endpoint endpoint;
  asio::io_context context;
  std::optional<ssl::context> tls;
  std::optional<beast::tcp_stream> plain;
  std::optional<ssl::stream<beast::tcp_stream>> secure;
  beast::flat_buffer buffer;
  std::chrono::steady_clock::time_point deadline;
};

HttpClient::HttpClient(Endpoint endpoint) : link_(std::make_unique<Link>(std::move(endpoint))) {}
HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::post(const std::string& target, const Json& body, std::chrono::milliseconds patience) {
  Request request(http::verb::post, target, 11, canonical_text(body));
  request.set(http::field::content_type, "application/json");
  return link_->send(std::move(request), patience);
}

HttpAnswer HttpClient::get(const std::string& target, std::chrono::milliseconds patience) {
  return link_->send(Request(http::verb::get, target, 11), patience);
}

HttpAnswer HttpClient::get_range(const std::string& target, std::uint64_t begin, std::uint64_t end,
                                 std::chrono::milliseconds patience) {
  QB_EXPECTS(begin < end);
  Request request(http::verb::get, target, 11);
  request.set(http::field::range, fmt::format("bytes={}-{}", begin, end - 1));
  return link_->send(std::move(request), patience);
}

namespace {

/// Receives the parts of one blob in rising order; gives up the temporary file unless it became the blob.
class IncomingBlob {
 public:
  IncomingBlob(const FileRef& ref, const std::filesystem::path& path)
      : ref_(ref),
        path_(path),
        part_(fmt::format("{}.{}.part", path.string(), ::getpid())),
        file_(part_, std::ios::binary | std::ios::trunc) {
    if (!file_) throw InputError(fmt::format("file '{}' cannot be written", part_.string()));
  }
  ~IncomingBlob() {
    std::error_code ignored;
    std::filesystem::remove(part_, ignored);
  }
  std::uint64_t size() const { return size_; }
  void append(std::string_view bytes) {
    if (bytes.empty() || bytes.size() > ref_.bytes - size_) refuse_bytes(fmt::format("{} bytes more", bytes.size()));
    digest_.update(bytes);
    file_.write(bytes.data(), std::streamsize(bytes.size()));
    size_ += bytes.size();
  }
  void finish() {
    file_.close();
    if (!file_) throw InputError(fmt::format("file '{}' cannot be written", part_.string()));
    if (const std::string got = digest_.hex(); got != ref_.sha256)
      refuse_bytes(fmt::format("bytes with the digest {}", got));
    std::filesystem::rename(part_, path_);
  }
  [[noreturn]] void refuse_bytes(const std::string& what) const {
    throw DataError(fmt::format("blob {} of '{}': the coordinator sent {} where {} bytes in all are expected",
                                ref_.sha256, ref_.path, what, ref_.bytes));
  }

 private:
  const FileRef& ref_;
  std::filesystem::path path_, part_;
  std::ofstream file_;
  Sha256 digest_;
  std::uint64_t size_ = 0;
};

}  // namespace

void fetch_blob(HttpClient& client, const FileRef& ref, const std::filesystem::path& path) {
  constexpr std::uint64_t kPart = 8 << 20;
  constexpr std::chrono::seconds kPatience{60};
  IncomingBlob blob(ref, path);
  while (blob.size() < ref.bytes) {
    const std::uint64_t end = std::min(ref.bytes, blob.size() + kPart);
    HttpAnswer answer = client.get_range("/v1/blobs/" + ref.sha256, blob.size(), end, kPatience);
    if (answer.status == 200 && blob.size() > 0) blob.refuse_bytes("the whole again");
    if (answer.status != 200 && answer.status != 206)
      throw DataError(fmt::format("blob {} of '{}': the coordinator answers {}", ref.sha256, ref.path, answer.status));
    blob.append(answer.body);
  }
  blob.finish();
}

double Backoff::next_s() {
  const double wait_s = step_s_ * random_.uniform(0.5, 1.0);
  step_s_ = std::min(kLongestS, 2 * step_s_);
  return wait_s;
}

}  // namespace qb
