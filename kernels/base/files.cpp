#include "kernels/base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "kernels/base/error.h"

namespace qb {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path, std::uint64_t limit) {
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    throw DataError(fmt::format("file '{}' {}", path.string(),
                                fs::exists(path, error) ? "is not a regular file" : "does not exist"));
  const std::uint64_t size = fs::file_size(path, error);
  if (error) throw DataError(fmt::format("file '{}' cannot be read: {}", path.string(), error.message()));
  if (size > limit)
    throw DataError(fmt::format("file '{}' has {} bytes; at most {} are accepted", path.string(), size, limit));
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  if (!file || !file.read(bytes.data(), std::streamsize(size)))
    throw DataError(fmt::format("file '{}' cannot be read", path.string()));
  return bytes;
}

namespace {

/// A file being written under a temporary name; removes it unless it was renamed into place.
class TemporaryFile {
 public:
  TemporaryFile(const fs::path& target, unsigned mode)
      : target_(target), path_(target.string() + fmt::format(".{}.tmp", ::getpid())) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (descriptor_ < 0) fail(std::strerror(errno));
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!renamed_) ::unlink(path_.c_str());
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail(std::strerror(errno));
      bytes.remove_prefix(std::size_t(written));
    }
    if (::fsync(descriptor_) != 0) fail(std::strerror(errno));
  }
  void verify(const std::function<std::string(const fs::path&)>& verify) const {
    if (const std::string fault = verify(path_); !fault.empty()) fail(fault);
  }
  void rename_into_place() {
    if (::rename(path_.c_str(), target_.c_str()) != 0) fail(std::strerror(errno));
    renamed_ = true;
    const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
    const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) return;
    ::fsync(handle);
    ::close(handle);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw InputError(fmt::format("file '{}' cannot be written: {}", target_.string(), reason));
  }
  fs::path target_, path_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

void write_file_atomically(const fs::path& path, std::string_view bytes, unsigned mode) {
  TemporaryFile file(path, mode);
  file.write(bytes);
  file.rename_into_place();
}

void write_file_verified(const fs::path& path, std::string_view bytes,
                         const std::function<std::string(const fs::path&)>& verify) {
  TemporaryFile file(path, 0644);
  file.write(bytes);
  file.verify(verify);
  file.rename_into_place();
}

}  // namespace qb
