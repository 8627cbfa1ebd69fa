// Where the models, data and golden vectors lie that the project reads but does not ship.
#pragma once
#include <doctest/doctest.h>

#include <filesystem>
#include <string>

namespace qb {

/// The path below the shared folder if it exists; otherwise says in the test's output what is skipped, and is empty.
inline std::filesystem::path shared_path(const std::string& relative) {
  const std::filesystem::path path = std::filesystem::path(QB_SHARED_ROOT) / relative;
  std::error_code error;
  if (std::filesystem::exists(path, error)) return path;
  MESSAGE("SKIPPED: ", path.string(), " is not here, so this check did not run");
  return {};
}

}  // namespace qb
