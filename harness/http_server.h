// HTTP/1.1 for peers that are never trusted: limits on everything, a deadline on every wait, one coroutine per peer.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace boost::asio::ssl {
class context;
}

namespace qb {

/// What a peer may cost us. A request beyond these limits is answered in words and ends the connection.
struct PeerLimits {
  std::uint32_t header_bytes = 16 << 10;
  std::uint64_t body_bytes = 16 << 20;
  std::chrono::milliseconds patience{60'000};  ///< for one request to arrive, and for one answer or part of it to leave
  std::size_t connections = 1024;              ///< in all
  std::size_t connections_per_address = 256;
  std::chrono::milliseconds login_delay{250};  ///< after the first failed login of an address; doubles up to 5 s
};

struct HttpRequest {
  std::string method, target;  ///< target: the path, without query
  std::string token;           ///< of `Authorization: Bearer`; "" when there is none
  std::string range;           ///< of `Range`
  std::string body;
  std::string peer;            ///< address, without port
  std::function<bool()> gone;  ///< true once the peer is known to have closed
};

/// A part of a file as the body of an answer.
struct FilePart {
  std::filesystem::path path;
  std::uint64_t offset = 0, bytes = 0;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<FilePart> file;       ///< takes the place of `body`
  std::function<void()> undelivered;  ///< called when the answer could not be sent
};

/// {"error": words}, with the status.
HttpResponse refusal(int status, const std::string& words);

/// `admit` sees a request before its body is read and may answer it; `answer` sees the rest. Both run on the thread of
/// the io_context, which owns everything.
struct HttpHandlers {
  std::function<std::optional<HttpResponse>(const HttpRequest&)> admit;
  std::function<boost::asio::awaitable<HttpResponse>(HttpRequest)> answer;
};

struct HttpCounters {
  std::uint64_t connections = 0, refused_connections = 0, requests = 0, bad_requests = 0, failed_logins = 0,
                timeouts = 0;
};

struct HttpServerState;

class HttpServer {
 public:
  /// Listens at once. Throws InputError naming address and port when that is not possible. Port 0 takes any free one.
  /// With `tls` every connection begins with a TLS handshake.
  HttpServer(boost::asio::io_context& context, const std::string& address, std::uint16_t port, const PeerLimits& limits,
             HttpHandlers handlers, boost::asio::ssl::context* tls = nullptr);
  ~HttpServer();

  std::uint16_t port() const;
  std::size_t open_connections() const;
  const HttpCounters& counters() const;
  void close();  ///< accepts no more and closes all connections

 private:
  std::shared_ptr<HttpServerState> state_;
};

}  // namespace qb
