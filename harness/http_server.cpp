#include "harness/http_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.h"

namespace qb {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::use_awaitable;
using asio::ip::tcp;

HttpResponse refusal(int status, const std::string& words) {
  HttpResponse response;
  response.status = status;
  response.body =
      nlohmann::json{{"error", words}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return response;
}

struct HttpServerState {
  HttpServerState(asio::io_context& context, const PeerLimits& peer_limits, HttpHandlers peer_handlers,
                  asio::ssl::context* peer_tls)
      : acceptor(context), limits(peer_limits), handlers(std::move(peer_handlers)), tls(peer_tls) {}
  tcp::acceptor acceptor;
  PeerLimits limits;
  HttpHandlers handlers;
  asio::ssl::context* tls;
  HttpCounters counters;
  std::map<std::string, std::size_t> per_address;
  std::map<std::string, int> failed_logins;  ///< per address, bounded
  std::set<tcp::socket*> open;
};

namespace {

using State = HttpServerState;
using Parser = http::request_parser<http::string_body>;

/// One connection's place among the open ones, given back when the coroutine ends for whatever reason.
class Seat {
 public:
  Seat(std::shared_ptr<State> state, std::string address, tcp::socket& socket)
      : state_(std::move(state)), address_(std::move(address)), socket_(&socket) {
    state_->open.insert(socket_);
    ++state_->per_address[address_];
  }
  ~Seat() {
    state_->open.erase(socket_);
    if (--state_->per_address[address_] == 0) state_->per_address.erase(address_);
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

 private:
  std::shared_ptr<State> state_;
  std::string address_;
  tcp::socket* socket_;
};

std::string text_of(beast::string_view view) { return {view.data(), view.size()}; }

HttpRequest head_of(const Parser& parser, const std::string& peer, tcp::socket& socket) {
  const auto& message = parser.get();
  HttpRequest request;
  request.method = text_of(message.method_string());
  request.target = text_of(message.target());
  request.target = request.target.substr(0, request.target.find('?'));
  const std::string authorization = text_of(message[http::field::authorization]);
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.starts_with(kBearer)) request.token = authorization.substr(kBearer.size());
  request.range = text_of(message[http::field::range]);
  request.peer = peer;
  request.gone = [handle = socket.native_handle()] {
    char byte = 0;
    return ::recv(handle, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  };
  return request;
}

/// What to tell a peer whose bytes could not be read as a request; nothing when it just left or fell silent.
std::optional<HttpResponse> words_for(const beast::error_code& error, const PeerLimits& limits) {
  if (error == http::error::header_limit)
    return refusal(431, fmt::format("the request's header exceeds {} bytes", limits.header_bytes));
  if (error == http::error::body_limit)
    return refusal(413, fmt::format("the request's body exceeds {} bytes", limits.body_bytes));
  if (error == http::error::buffer_overflow)
    return refusal(431, fmt::format("the request's header exceeds {} bytes", limits.header_bytes));
  if (error.category() == http::make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message)
    return refusal(400, fmt::format("the bytes are not an HTTP/1.1 request: {}", error.message()));
  return std::nullopt;
}

template <class Stream>
asio::awaitable<void> send_file(Stream& stream, const FilePart& part, const PeerLimits& limits) {
  std::ifstream file(part.path, std::ios::binary);
  file.seekg(std::streamoff(part.offset));
  std::vector<char> chunk(256 << 10);
  for (std::uint64_t left = part.bytes; left > 0;) {
    const std::size_t size = std::size_t(std::min<std::uint64_t>(left, chunk.size()));
    if (!file.read(chunk.data(), std::streamsize(size)))
      throw DataError(fmt::format("file '{}' ended early", part.path.string()));
    beast::get_lowest_layer(stream).expires_after(limits.patience);
    co_await asio::async_write(stream, asio::buffer(chunk.data(), size), use_awaitable);
    left -= size;
  }
}

template <class Stream>
asio::awaitable<void> send(Stream& stream, const HttpResponse& response, bool keep_alive, const PeerLimits& limits) {
  http::response<http::string_body> message{http::int_to_status(unsigned(response.status)), 11};
  message.set(http::field::content_type, response.type);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  beast::get_lowest_layer(stream).expires_after(limits.patience);
  if (response.file) {
    message.content_length(response.file->bytes);
    http::response_serializer<http::string_body> serializer(message);
    co_await http::async_write_header(stream, serializer, use_awaitable);
    co_await send_file(stream, *response.file, limits);
    co_return;
  }
  message.body() = response.body;
  message.prepare_payload();
  if (response.status == 204) message.erase(http::field::content_length);
  co_await http::async_write(stream, message, use_awaitable);
}

/// Waits before a failed login is answered: longer each time, so that guessing is hopeless and others are not
/// disturbed.
asio::awaitable<void> slow_down(State& state, const std::string& peer) {
  constexpr std::size_t kRemembered = 4096;
  if (state.failed_logins.size() >= kRemembered) state.failed_logins.clear();
  const int failures = state.failed_logins[peer]++;
  ++state.counters.failed_logins;
  const auto delay =
      std::min(state.limits.login_delay * (1 << std::min(failures, 10)), std::chrono::milliseconds(5000));
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(delay);
  co_await timer.async_wait(use_awaitable);
}

/// One request: true when the connection may carry another.
template <class Stream>
asio::awaitable<bool> serve_request(State& state, Stream& stream, beast::flat_buffer& buffer, const std::string& peer) {
  Parser parser;
  parser.header_limit(state.limits.header_bytes);
  parser.body_limit(state.limits.body_bytes);
  auto& lowest = beast::get_lowest_layer(stream);
  lowest.expires_after(state.limits.patience);
  beast::error_code error;
  co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
  std::optional<HttpResponse> response;
  HttpRequest request;
  if (!error) {
    request = head_of(parser, peer, lowest.socket());
    response = state.handlers.admit(request);
    if (response && response->status == 401) co_await slow_down(state, peer);
    if (!response) co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
  }
  if (error) {
    state.counters.timeouts += error == beast::error::timeout;
    response = words_for(error, state.limits);
    if (!response) co_return false;
  }
  const bool refused = response.has_value();
  ++state.counters.requests;
  if (!refused) {
    request.body = std::move(parser.get().body());
    const bool keep = parser.get().keep_alive();
    lowest.expires_never();
    response = co_await state.handlers.answer(std::move(request));
    state.counters.bad_requests += response->status >= 400 && response->status < 500;
    try {
      co_await send(stream, *response, keep, state.limits);
    } catch (...) {
      if (response->undelivered) response->undelivered();
      throw;
    }
    co_return keep;
  }
  ++state.counters.bad_requests;
  co_await send(stream, *response, false, state.limits);
  co_return false;
}

/// Serves one connection from its first request to its last; leaving it for any reason leaves no trace in the server.
template <class Stream>
asio::awaitable<void> serve_peer(std::shared_ptr<State> state, Stream& stream, std::string peer) {
  const Seat seat(state, peer, beast::get_lowest_layer(stream).socket());
  beast::flat_buffer buffer(std::size_t(state->limits.header_bytes) + (64 << 10));
  if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
    beast::get_lowest_layer(stream).expires_after(state->limits.patience);
    co_await stream.async_handshake(asio::ssl::stream_base::server, use_awaitable);
  }
  while (co_await serve_request(*state, stream, buffer, peer)) {
  }
  // Let what was said reach the peer before the connection goes: close after it has read, or after a moment.
  beast::error_code ignored;
  auto& lowest = beast::get_lowest_layer(stream);
  lowest.socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> rest;
  for (int reads = 0; reads < 64 && !ignored; ++reads) {
    lowest.expires_after(std::chrono::seconds(1));
    co_await lowest.async_read_some(asio::buffer(rest), asio::redirect_error(use_awaitable, ignored));
  }
}

asio::awaitable<void> serve_socket(std::shared_ptr<State> state, tcp::socket socket, std::string peer) {
  if (state->tls) {
    beast::ssl_stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), *state->tls);
    co_await serve_peer(state, stream, std::move(peer));
  } else {
    beast::tcp_stream stream(std::move(socket));
    co_await serve_peer(state, stream, std::move(peer));
  }
}

/// Accepts peers until the acceptor closes. A peer's failure ends that peer only.
asio::awaitable<void> accept_peers(std::shared_ptr<State> state) {
  while (state->acceptor.is_open()) {
    beast::error_code error;
    tcp::socket socket = co_await state->acceptor.async_accept(asio::redirect_error(use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors, or a peer that left early: neither is a reason to stop listening
      asio::steady_timer pause(state->acceptor.get_executor(), std::chrono::milliseconds(50));
      co_await pause.async_wait(asio::redirect_error(use_awaitable, error));
      continue;
    }
    ++state->counters.connections;
    const auto endpoint = socket.remote_endpoint(error);
    const std::string peer = error ? "unknown" : endpoint.address().to_string();
    const auto of_peer = state->per_address.find(peer);
    if (state->open.size() >= state->limits.connections ||
        (of_peer != state->per_address.end() && of_peer->second >= state->limits.connections_per_address)) {
      ++state->counters.refused_connections;
      continue;
    }
    socket.set_option(tcp::no_delay(true), error);
    asio::co_spawn(state->acceptor.get_executor(), serve_socket(state, std::move(socket), peer),
                   [state](std::exception_ptr failure) {
                     try {
                       if (failure) std::rethrow_exception(failure);
                     } catch (const boost::system::system_error& left) {
                       state->counters.timeouts += left.code() == beast::error::timeout;
                     } catch (const DataError&) {
                       ++state->counters.bad_requests;
                     }
                   });
  }
}

}  // namespace

HttpServer::HttpServer(asio::io_context& context, const std::string& address, std::uint16_t port,
                       const PeerLimits& limits, HttpHandlers handlers, asio::ssl::context* tls)
    : state_(std::make_shared<HttpServerState>(context, limits, std::move(handlers), tls)) {
  beast::error_code error;
  const auto ip = asio::ip::make_address(address, error);
  if (error) throw InputError(fmt::format("--bind {}: not an IP address; use e.g. 127.0.0.1", address));
  const tcp::endpoint endpoint(ip, port);
  tcp::acceptor& acceptor = state_->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use)
    throw InputError(
        fmt::format("port {} of {} is in use; name another with --port, or 0 for any free one", port, address));
  if (error) throw InputError(fmt::format("cannot listen on {} port {}: {}", address, port, error.message()));
  asio::co_spawn(context, accept_peers(state_), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
}

HttpServer::~HttpServer() { close(); }

std::uint16_t HttpServer::port() const { return state_->acceptor.local_endpoint().port(); }
std::size_t HttpServer::open_connections() const { return state_->open.size(); }
const HttpCounters& HttpServer::counters() const { return state_->counters; }

void HttpServer::close() {
  beast::error_code ignored;
  state_->acceptor.close(ignored);
  for (tcp::socket* socket : state_->open) socket->close(ignored);
}

}  // namespace qb
