#include "harness/run_folder.h"

#include <fmt/format.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

/// Renames the folder to the first free `<name>.<n>`.
std::string set_aside(const fs::path& folder) {
  for (int n = 1;; ++n) {
    const fs::path name = folder.string() + fmt::format(".{}", n);
    std::error_code error;
    if (fs::exists(name, error)) continue;
    fs::rename(folder, name, error);
    if (error)
      throw InputError(
          fmt::format("folder '{}' cannot be set aside as '{}': {}", folder.string(), name.string(), error.message()));
    return name.string();
  }
}

}  // namespace

RunFolder open_run_folder(const fs::path& out, const Plan& plan, Begin begin) {
  RunFolder folder{out / fmt::format("{}-{}", plan.study.name, plan.run_id.substr(0, 8)), ""};
  std::error_code error;
  if (fs::exists(folder.journal(), error)) {
    if (begin == Begin::first)
      throw InputError(fmt::format(
          "run {} of study '{}' was begun before in '{}'; add --resume to go on with it, or --fresh to begin anew (what is there is kept)",
          plan.run_id, plan.study.name, folder.path.string()));
    if (begin == Begin::fresh) folder.set_aside = set_aside(folder.path);
  }
  fs::create_directories(folder.path, error);
  if (error)
    throw InputError(fmt::format("folder '{}' cannot be created: {}; name another with --out", folder.path.string(),
                                 error.message()));
  if (::access(folder.path.c_str(), W_OK | X_OK) != 0)
    throw InputError(fmt::format("folder '{}' is not writable; name another with --out", folder.path.string()));
  return folder;
}

std::string run_token(const fs::path& file, TokenUse use) {
  std::error_code error;
  if (use == TokenUse::keep && fs::exists(file, error)) {
    std::string token(trimmed(read_file(file, 4096)));
    if (token.size() < 16)
      throw InputError(
          fmt::format("token file '{}' holds fewer than 16 characters; remove it to have one made", file.string()));
    return token;
  }
  std::array<unsigned char, 32> bytes{};
  QB_EXPECTS(RAND_bytes(bytes.data(), int(bytes.size())) == 1);
  std::string token = fmt::format("{:02x}", fmt::join(bytes, ""));
  write_file_atomically(file, token + "\n", 0600);
  return token;
}

}  // namespace qb
