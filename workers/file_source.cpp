#include "workers/file_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace fs = std::filesystem;

FileStore::FileStore(std::vector<fs::path> roots, fs::path cache, Fetch fetch)
    : roots_(std::move(roots)), cache_(std::move(cache)), fetch_(std::move(fetch)) {}

bool FileStore::holds(const fs::path& path, const FileRef& ref) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  const std::uint64_t bytes = fs::file_size(path, error);
  const fs::file_time_type changed = fs::last_write_time(path, error);
  if (error || bytes != ref.bytes) return false;
  Seen& seen = seen_[path];
  if (seen.sha256.empty() || seen.bytes != bytes || seen.changed != changed) seen = {bytes, changed, sha256_file(path)};
  return seen.sha256 == ref.sha256;
}

fs::path FileStore::locate(const FileRef& ref) {
  std::vector<std::string> seen;
  const auto parts = split(ref.path, '/');
  const bool safe =
      !ref.path.empty() && ref.path.front() != '/' && std::find(parts.begin(), parts.end(), "..") == parts.end();
  for (const fs::path& root : roots_) {
    const fs::path path = root / ref.path;
    if (safe && holds(path, ref)) return fs::absolute(path);
    std::error_code error;
    seen.push_back(
        fmt::format("'{}' {}", path.string(), fs::exists(path, error) ? "has other bytes" : "does not exist"));
  }
  const fs::path cached = cache_ / "blobs" / ref.sha256;
  if (holds(cached, ref)) return fs::absolute(cached);
  if (fetch_) {
    std::error_code error;
    fs::create_directories(cached.parent_path(), error);
    fetch_(ref, cached);
    if (holds(cached, ref)) return fs::absolute(cached);
  }
  throw InputError(fmt::format("file '{}' with the SHA-256 {} is not on this machine: {}", ref.path, ref.sha256,
                               seen.empty() ? "no data folder is given" : join(seen, ", ")));
}

std::vector<FileRef> files_of(const ModelManifest& manifest) {
  std::vector<FileRef> files = manifest.files;
  files.insert(files.end(), manifest.dataset.files.begin(), manifest.dataset.files.end());
  return files;
}

}  // namespace qb
