#include "harness/commands.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "reports/record/run_file.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

struct Said {
  int code;
  std::string errors;
};

/// The program's exit code and what it writes to standard error.
Said quantbench(std::vector<std::string> words) {
  const TemporaryFolder folder;
  words.insert(words.begin(), "quantbench");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  std::fflush(stderr);
  const int kept = ::dup(STDERR_FILENO);
  const int file = ::open((folder / "errors").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(::dup2(file, STDERR_FILENO) >= 0);
  const int code = quantbench_main(int(arguments.size()), arguments.data());
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  ::close(file);
  return {code, read_file(folder / "errors")};
}

TEST_CASE("a slip in a command is refused with the nearest one") {
  const Said said = quantbench({"lst", "models"});
  CHECK(said.code == kExitInput);
  CHECK(said.errors.find("did you mean 'list'?") != std::string::npos);
}

TEST_CASE("a damaged run file ends report and check in one sentence, and nothing is written") {
  const TemporaryFolder folder;
  RunRecord record;
  record.run_id = std::string(16, '0');
  record.study_name = "invented";
  record.study_text = "{}";
  record.plan_digest = std::string(64, '0');
  record.created_utc = record.finished_utc = "2026-01-01T00:00:00Z";
  write_run_file(folder / "run.h5", record);
  const std::string bytes = read_file(folder / "run.h5");
  write_file_atomically(folder / "torn.h5", bytes.substr(0, bytes.size() / 2));
  for (const char* command : {"report", "check"}) {
    CAPTURE(command);
    const Said said = quantbench({command, (folder / "torn.h5").string()});
    CHECK(said.code == kExitData);
    CHECK(said.errors.find("torn.h5") != std::string::npos);
    CHECK(said.errors.find('\n') == said.errors.size() - 1);
  }
  CHECK(quantbench({"report", (folder / "torn.h5").string(), "-o", (folder / "page").string()}).code == kExitData);
  CHECK_FALSE(std::filesystem::exists(folder / "page"));
}

}  // namespace
}  // namespace qb
