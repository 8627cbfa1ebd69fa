// One end of the wire: requests of a worker to its coordinator, each with a deadline.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kernels/base/json.h"
#include "kernels/base/random.h"
#include "models/manifest.h"

namespace qb {

/// The peer could not be reached, fell silent, or did not speak HTTP. Worth another try after a while.
struct LinkError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Endpoint {
  std::string host, port;
  std::string token;        ///< sent as `Authorization: Bearer`
  std::string fingerprint;  ///< SHA-256 of the peer's certificate in hexadecimal; empty: no TLS, loopback only
};

/// "HOST:PORT" or "[V6]:PORT". Throws InputError, also for an address that is not loopback without a fingerprint: a
/// token never travels in the clear.
Endpoint parse_endpoint(std::string_view text, std::string token, std::string fingerprint);

struct HttpAnswer {
  int status = 0;
  std::string body;
};

inline constexpr std::uint32_t kHeaderBytes = 16 << 10;
inline constexpr std::uint64_t kBodyBytes = 16 << 20;

/// Keeps one connection and opens it again when it is lost. Not for use by two threads at once.
///
/// Every request ends within `patience`: with an answer of any status, or with LinkError. A request on a kept
/// connection that turns out closed is sent once more on a fresh one, so a request must bear repetition. TLS is
/// version 1.3 only, and nothing is sent before the peer has shown the pinned certificate.
class HttpClient {
 public:
  explicit HttpClient(Endpoint endpoint);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpAnswer post(const std::string& target, const Json& body, std::chrono::milliseconds patience);
  HttpAnswer get(const std::string& target, std::chrono::milliseconds patience);
  /// Bytes [begin, end) of a resource; 206 carries that part, 200 the whole.
  HttpAnswer get_range(const std::string& target, std::uint64_t begin, std::uint64_t end,
                       std::chrono::milliseconds patience);

 private:
  struct Link;
  std::unique_ptr<Link> link_;
};

/// Brings GET /v1/blobs/{sha256} to `path` in parts of 8 MiB. The file appears under its name only when size and digest
/// are right. Throws LinkError, or DataError when the peer lacks the blob or sends other bytes.
void fetch_blob(HttpClient& client, const FileRef& ref, const std::filesystem::path& path);

/// Waits between attempts: doubling from 0.1 s to 5 s, each shortened by up to a half at random, so that workers that
/// lost the same coordinator do not come back all at once.
class Backoff {
 public:
  explicit Backoff(std::uint64_t seed) : random_(seed) {}
  double next_s();
  void reset() { step_s_ = kFirstS; }

 private:
  static constexpr double kFirstS = 0.1, kLongestS = 5.0;
  Random random_;
  double step_s_ = kFirstS;
};

}  // namespace qb
