// The folder of one run: journal, token, logs of local workers, and at the end the run file.
#pragma once
#include <filesystem>
#include <string>

#include "harness/plan.h"

namespace qb {

enum class Begin {
  first,   ///< refuse when the run was begun before
  resume,  ///< go on with what is there, or begin
  fresh,   ///< move what is there aside, and begin
};

struct RunFolder {
  std::filesystem::path path;
  std::filesystem::path journal() const { return path / "journal.sqlite"; }
  std::filesystem::path token() const { return path / "token"; }
  std::filesystem::path run_file() const { return path / "run.h5"; }
  std::string set_aside;  ///< the earlier run's new name; "" when there was none
};

/// `<out>/<study>-<first 8 digits of the run id>`, created. Throws InputError in words when it cannot be written, or
/// when `begin` is first and a journal is there.
RunFolder open_run_folder(const std::filesystem::path& out, const Plan& plan, Begin begin);

enum class TokenUse { renew, keep };

/// 32 random bytes in hexadecimal, in a file that only its owner may read. `keep` returns the one that is there, if
/// any.
std::string run_token(const std::filesystem::path& file, TokenUse use);

}  // namespace qb
