// The client's TLS against OpenSSL's own server: the pinned certificate is accepted, any other is refused unheard.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <thread>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "workers/wire/http_client.h"

namespace qb {
namespace {

using namespace std::chrono_literals;
template <class T, void (*Release)(T*)>
struct Releaser {
  void operator()(T* owned) const { Release(owned); }
};
using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Releaser<X509, X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Releaser<SSL_CTX, SSL_CTX_free>>;

/// Serves one connection: a handshake of at most `version`, one request, one answer.
class OneTlsPeer {
 public:
  explicit OneTlsPeer(int version)
      : key_(EVP_EC_gen("P-256")), certificate_(X509_new()), context_(SSL_CTX_new(TLS_server_method())) {
    ASN1_INTEGER_set(X509_get_serialNumber(certificate_.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate_.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate_.get()), 3600);
    X509_set_pubkey(certificate_.get(), key_.get());
    X509_sign(certificate_.get(), key_.get(), EVP_sha256());
    SSL_CTX_use_certificate(context_.get(), certificate_.get());
    SSL_CTX_use_PrivateKey(context_.get(), key_.get());
    SSL_CTX_set_max_proto_version(context_.get(), version);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneTlsPeer() {
    thread_.join();
    ::close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string fingerprint() const {
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate_.get(), &der);
    const std::string text = sha256_hex(std::string_view(reinterpret_cast<const char*>(der), std::size_t(size)));
    OPENSSL_free(der);
    return text;
  }
  std::string heard() {
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return heard_;
  }

 private:
  void serve() {
    ::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own sockets do not ask for errors instead; the client may be gone
    const int peer = ::accept(listener_, nullptr, nullptr);
    SSL* session = SSL_new(context_.get());
    SSL_set_fd(session, peer);
    if (SSL_accept(session) == 1) {
      std::array<char, 4096> bytes{};
      const int got = SSL_read(session, bytes.data(), int(bytes.size()));
      if (got > 0) heard_.assign(bytes.data(), std::size_t(got));
      constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
      if (got > 0) SSL_write(session, kAnswer.data(), int(kAnswer.size()));
    }
    SSL_free(session);
    ::close(peer);
  }

  Key key_;
  Certificate certificate_;
  Context context_;
  int listener_ = -1, port_ = 0;
  std::string heard_;
  std::thread thread_;
};

TEST_CASE("a pinned certificate is accepted and the token goes over TLS 1.3") {
  OneTlsPeer peer(TLS1_3_VERSION);
  HttpClient client(parse_endpoint(peer.address(), "secret-token", peer.fingerprint()));
  const HttpAnswer answer = client.get("/healthz", 20s);
  CHECK(answer.status == 200);
  CHECK(answer.body == "hi");
  CHECK(peer.heard().find("Bearer secret-token") != std::string::npos);
}

TEST_CASE("another certificate is refused before anything is said") {
  OneTlsPeer peer(TLS1_3_VERSION);
  HttpClient client(parse_endpoint(peer.address(), "secret-token", sha256_hex("another certificate")));
  CHECK_THROWS_WITH_AS(client.get("/healthz", 20s), doctest::Contains("is pinned"), LinkError);
  CHECK(peer.heard() == "");
}

TEST_CASE("an older TLS is refused") {
  OneTlsPeer peer(TLS1_2_VERSION);
  HttpClient client(parse_endpoint(peer.address(), "secret-token", peer.fingerprint()));
  CHECK_THROWS_AS(client.get("/healthz", 20s), LinkError);
  CHECK(peer.heard() == "");
}

}  // namespace
}  // namespace qb
