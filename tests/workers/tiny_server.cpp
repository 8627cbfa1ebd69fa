#include "tests/workers/tiny_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

namespace qb {

TinyServer::TinyServer(Handler handler, int port) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(std::uint16_t(port));
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 8) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("the test's server cannot listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

TinyServer::~TinyServer() {
  ending_ = true;
  thread_.join();
  ::close(listener_);
}

void TinyServer::serve() {
  while (!ending_) {
    pollfd wait{listener_, POLLIN, 0};
    if (::poll(&wait, 1, 20) <= 0) continue;
    const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer < 0) continue;
    converse(peer);
    ::close(peer);
  }
}

/// One connection until its peer leaves, an answer vanishes, or the server ends.
void TinyServer::converse(int peer) {
  std::string received;
  const auto more = [&] {
    while (!ending_) {
      pollfd wait{peer, POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      std::array<char, 65536> chunk{};
      const ssize_t got = ::read(peer, chunk.data(), chunk.size());
      if (got <= 0) return false;
      received.append(chunk.data(), std::size_t(got));
      return true;
    }
    return false;
  };
  for (;;) {
    std::size_t head = 0;
    while ((head = received.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return;
    TinyRequest request;
    const std::size_t first = received.find("\r\n");
    const std::string line = received.substr(0, first);
    request.method = line.substr(0, line.find(' '));
    request.target = line.substr(request.method.size() + 1, line.rfind(' ') - request.method.size() - 1);
    for (std::size_t at = first + 2; at < head + 2;) {
      const std::size_t end = received.find("\r\n", at), colon = received.find(':', at);
      std::string name = received.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
      request.headers[name] = received.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    const std::size_t length =
        request.headers.contains("content-length") ? std::stoul(request.headers["content-length"]) : 0;
    while (received.size() < head + 4 + length)
      if (!more()) return;
    request.body = received.substr(head + 4, length);
    received.erase(0, head + 4 + length);
    const TinyAnswer answer = handler_(request);
    if (answer.vanish) return;
    const std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " said\r\nContent-Length: " +
                             std::to_string(answer.status == 204 ? 0 : answer.body.size()) + "\r\n\r\n" +
                             (answer.status == 204 ? "" : answer.body);
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t part = ::send(peer, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (part <= 0) return;
      sent += std::size_t(part);
    }
  }
}

}  // namespace qb
