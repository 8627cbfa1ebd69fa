#include "harness/blobs.h"

#include <algorithm>

#include "kernels/base/text.h"

namespace qb {

std::map<std::string, Blob, std::less<>> blobs_of(const Plan& plan, const DataRoots& roots) {
  std::map<std::string, Blob, std::less<>> blobs;
  for (const ModelManifest& model : plan.study.models)
    for (const auto* files : {&model.files, &model.dataset.files})
      for (const FileRef& file : *files) blobs[file.sha256] = {roots.find(file.path), file.bytes};
  return blobs;
}

std::optional<ByteRange> parse_range(std::string_view header, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return std::nullopt;
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view first_text = trimmed(header.substr(0, dash)), last_text = trimmed(header.substr(dash + 1));
  const auto first = parse_int(first_text), last = parse_int(last_text);
  if (first_text.empty()) {
    if (!last || *last < 0) return std::nullopt;
    const std::uint64_t bytes = std::min(size, std::uint64_t(*last));
    return ByteRange{size - bytes, bytes};
  }
  if (!first || *first < 0 || (!last_text.empty() && (!last || *last < *first))) return std::nullopt;
  if (std::uint64_t(*first) >= size) return ByteRange{0, 0};
  const std::uint64_t end = last_text.empty() ? size : std::min(size, std::uint64_t(*last) + 1);
  return ByteRange{std::uint64_t(*first), end - std::uint64_t(*first)};
}

}  // namespace qb
