// A coordinator's end of the wire for tests: one thread, one request at a time, answers from a function.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>

namespace qb {

struct TinyRequest {
  std::string method, target, body;
  std::map<std::string, std::string> headers;  ///< names in lower case
};
struct TinyAnswer {
  int status = 200;
  std::string body = "{}";
  bool vanish = false;  ///< closes the connection instead of answering
};

/// Listens on a loopback port from construction to destruction.
class TinyServer {
 public:
  using Handler = std::function<TinyAnswer(const TinyRequest&)>;
  explicit TinyServer(Handler handler, int port = 0);  ///< port 0: any free one
  ~TinyServer();
  int port() const { return port_; }

 private:
  void serve();
  void converse(int peer);

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

}  // namespace qb
