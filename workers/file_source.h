// Finds model and data files by path and digest: on this machine, in the cache, or at the coordinator.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "models/manifest.h"

namespace qb {

/// Every path it gives was seen to hold the digest asked for; a file is read again only when size or time of change
/// differ.
class FileStore {
 public:
  /// Brings a blob to a path, or throws.
  using Fetch = std::function<void(const FileRef&, const std::filesystem::path&)>;

  /// `cache` is a folder for fetched files, named by their digest. Without `fetch` only what is here is found.
  FileStore(std::vector<std::filesystem::path> roots, std::filesystem::path cache, Fetch fetch = {});

  /// Throws InputError, saying where it looked and what it saw there, when no file has the digest.
  std::filesystem::path locate(const FileRef& ref);

 private:
  struct Seen {
    std::uint64_t bytes = 0;
    std::filesystem::file_time_type changed;
    std::string sha256;
  };
  bool holds(const std::filesystem::path& path, const FileRef& ref);

  std::vector<std::filesystem::path> roots_;
  std::filesystem::path cache_;
  Fetch fetch_;
  std::map<std::filesystem::path, Seen> seen_;
};

/// Every file that a unit's model and data consist of.
std::vector<FileRef> files_of(const ModelManifest& manifest);

}  // namespace qb
