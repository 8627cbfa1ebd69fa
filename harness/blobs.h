// Model and data files by digest, for workers that do not have them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "harness/plan.h"

namespace qb {

struct Blob {
  std::filesystem::path path;
  std::uint64_t bytes = 0;
};

/// Every file that a plan's models name, by SHA-256. Only these can be asked for.
std::map<std::string, Blob, std::less<>> blobs_of(const Plan& plan, const DataRoots& roots);

struct ByteRange {
  std::uint64_t offset = 0, bytes = 0;
};

/// One range of a `Range` header (RFC 9110, section 14.1): "bytes=a-b", "bytes=a-", "bytes=-n". Nothing for a header
/// that is not understood, which means the whole; an empty range (bytes 0) for one that lies outside the file.
std::optional<ByteRange> parse_range(std::string_view header, std::uint64_t size);

}  // namespace qb
