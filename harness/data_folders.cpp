#include "harness/data_folders.h"

#include <fmt/format.h>

#include "kernels/base/error.h"

namespace qb {

namespace fs = std::filesystem;

fs::path own_program() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::current_path() / "quantbench" : program;
}

fs::path worker_program() { return own_program().string() + "-worker"; }

fs::path shipped_configs() {
  std::error_code error;
  const auto good = [&](const fs::path& folder) { return fs::is_directory(folder / "zoo", error); };
  if (good("configs")) return fs::absolute("configs");
  for (fs::path folder = own_program().parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    for (const char* name : {"configs", "share/quantbench/configs"})
      if (good(folder / name)) return folder / name;
  return {};
}

DataRoots data_roots(const std::vector<std::string>& folders) {
  DataRoots roots;
  std::error_code error;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder, error)) throw InputError(fmt::format("--data {}: there is no such folder", folder));
    roots.folders.push_back(fs::absolute(folder).lexically_normal());
  }
  if (const fs::path configs = shipped_configs(); !configs.empty()) {
    roots.folders.push_back(configs);
    if (fs::is_directory(configs / "models", error)) roots.folders.push_back(configs / "models");
  }
  return roots;
}

}  // namespace qb
