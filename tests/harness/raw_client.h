// A peer that sends exactly the bytes it is told to, as curl or an attacker would.
#pragma once
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/base/json.h"
#include "kernels/base/text.h"

namespace qb {

struct RawAnswer {
  int status = 0;  ///< 0: the peer closed without an answer
  std::string head, body;
  Json json() const { return Json::parse(body); }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    QB_EXPECTS(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~RawClient() { ::close(socket_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the peer has had enough; its answer says why
      bytes.remove_prefix(std::size_t(sent));
    }
  }

  /// Reads one answer, its body by Content-Length; at most `patience_ms` between two parts.
  RawAnswer answer(int patience_ms = 20'000) {
    std::size_t end = std::string::npos;
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos)
      if (!more(patience_ms)) return {};
    RawAnswer result;
    result.head = bytes_.substr(0, end + 2);
    result.status = int(parse_int(std::string_view(result.head).substr(9, 3)).value_or(0));
    std::size_t size = 0;
    if (const auto at = result.head.find("Content-Length: "); at != std::string::npos)
      size = std::size_t(std::stoul(result.head.substr(at + 16)));
    while (bytes_.size() < end + 4 + size)
      if (!more(patience_ms)) return {};
    result.body = bytes_.substr(end + 4, size);
    bytes_.erase(0, end + 4 + size);
    return result;
  }
  bool closed_within(int patience_ms) {
    while (more(patience_ms)) {
    }
    return closed_;
  }

  RawAnswer get(const std::string& target, const std::string& token, const std::string& headers = "") {
    send(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{}\r\n", target, token, headers));
    return answer();
  }
  RawAnswer post(const std::string& target, const std::string& token, const std::string& body) {
    send(fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}", target,
                     token, body.size(), body));
    return answer();
  }

 private:
  bool more(int patience_ms) {
    pollfd wait{socket_, POLLIN, 0};
    if (closed_ || ::poll(&wait, 1, patience_ms) <= 0) return false;
    char chunk[65536];
    const ssize_t size = ::recv(socket_, chunk, sizeof chunk, 0);
    closed_ = size <= 0;
    if (!closed_) bytes_.append(chunk, std::size_t(size));
    return !closed_;
  }

  int socket_;
  std::string bytes_;
  bool closed_ = false;
};

}  // namespace qb
