// The coordinator's certificate: self-signed, pinned by workers, TLS 1.3 only.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

namespace boost::asio::ssl {
class context;
}

namespace qb {

struct TlsFiles {
  std::filesystem::path certificate, key;
};
TlsFiles tls_files(const std::filesystem::path& folder);  ///< folder/tls/certificate.pem and key.pem

/// Makes an Ed25519 key (0600) and a certificate for ten years. Throws InputError when they exist or cannot be written.
void make_self_signed(const TlsFiles& files);

/// SHA-256 of the certificate in 64 hexadecimal digits: what workers are told to expect. Throws DataError.
std::string certificate_fingerprint(const std::filesystem::path& certificate);

/// Throws DataError when certificate and key cannot be read or do not fit each other.
std::unique_ptr<boost::asio::ssl::context> server_tls(const TlsFiles& files);

}  // namespace qb
