#include "harness/tls.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

#include <boost/asio/ssl/context.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"

namespace qb {

namespace {

template <class T, void (*free)(T*)>
struct Freed {
  void operator()(T* object) const { free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
void free_chain(BIO* chain) { BIO_free_all(chain); }
using Memory = std::unique_ptr<BIO, Freed<BIO, free_chain>>;

std::string text_of(const Memory& memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, std::size_t(size)};
}

Certificate self_signed(EVP_PKEY* key) {
  constexpr long kTenYears_s = 10L * 365 * 86400;
  Certificate certificate(X509_new());
  std::array<unsigned char, 8> serial{};
  QB_EXPECTS(certificate && RAND_bytes(serial.data(), int(serial.size())) == 1);
  serial[0] &= 0x7f;
  X509* x = certificate.get();
  BIGNUM* number = BN_bin2bn(serial.data(), int(serial.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
  BN_free(number);
  X509_set_version(x, X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(x), -300);  // clocks of workers may run a little behind
  X509_gmtime_adj(X509_getm_notAfter(x), kTenYears_s);
  X509_NAME* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("quantbench coordinator"), -1, -1, 0);
  X509_set_issuer_name(x, name);
  QB_EXPECTS(X509_set_pubkey(x, key) == 1 && X509_sign(x, key, nullptr) > 0);
  return certificate;
}

}  // namespace

TlsFiles tls_files(const std::filesystem::path& folder) {
  return {folder / "tls" / "certificate.pem", folder / "tls" / "key.pem"};
}

void make_self_signed(const TlsFiles& files) {
  std::error_code error;
  for (const auto& file : {files.certificate, files.key})
    if (std::filesystem::exists(file, error))
      throw InputError(
          fmt::format("file '{}' exists already; move it away to have a new certificate made", file.string()));
  std::filesystem::create_directories(files.key.parent_path(), error);
  if (error)
    throw InputError(
        fmt::format("folder '{}' cannot be created: {}", files.key.parent_path().string(), error.message()));
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  QB_EXPECTS(key != nullptr);
  const Certificate certificate = self_signed(key.get());
  const Memory key_text(BIO_new(BIO_s_mem())), certificate_text(BIO_new(BIO_s_mem()));
  QB_EXPECTS(PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  QB_EXPECTS(PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1);
  write_file_atomically(files.key, text_of(key_text), 0600);
  write_file_atomically(files.certificate, text_of(certificate_text));
}

std::string certificate_fingerprint(const std::filesystem::path& path) {
  const std::string text = read_file(path, 1 << 20);
  const Memory memory(BIO_new_mem_buf(text.data(), int(text.size())));
  const Certificate certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  if (!certificate) throw DataError(fmt::format("file '{}' holds no certificate in PEM", path.string()));
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate.get(), &bytes);
  QB_EXPECTS(size > 0);
  std::string digest = sha256_hex({reinterpret_cast<const char*>(bytes), std::size_t(size)});
  OPENSSL_free(bytes);
  return digest;
}

std::unique_ptr<boost::asio::ssl::context> server_tls(const TlsFiles& files) {
  namespace ssl = boost::asio::ssl;
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_3_VERSION);
  boost::system::error_code error;
  context->use_certificate_chain_file(files.certificate.string(), error);
  if (error)
    throw DataError(fmt::format("certificate '{}' cannot be used: {}", files.certificate.string(), error.message()));
  context->use_private_key_file(files.key.string(), ssl::context::pem, error);
  if (error)
    throw DataError(
        fmt::format("key '{}' cannot be used with the certificate: {}", files.key.string(), error.message()));
  return context;
}

}  // namespace qb
