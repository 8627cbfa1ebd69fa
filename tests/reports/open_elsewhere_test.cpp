// Other people's programs open the run file.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "reports/record/run_file.h"
#include "tests/reports/small_record.h"

namespace qb {
namespace {

/// Standard output and error of a shell command, and its exit status.
std::pair<std::string, int> output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  for (std::size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) text.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  return {text, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

struct File {
  File() : path(std::filesystem::temp_directory_path() / ("quantbench-open-" + std::to_string(::getpid()) + ".h5")) {
    write_run_file(path, small_record());
  }
  ~File() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

TEST_CASE("h5py, PyTables and pandas open the run file") {
  const File file;
  if (!std::filesystem::exists("/usr/bin/python3")) {
    MESSAGE("SKIPPED: /usr/bin/python3 is not here, so h5py, PyTables and pandas did not open the run file");
    return;
  }
  const auto [text, status] =
      output_of("/usr/bin/python3 -W error::UserWarning " QB_SOURCE_ROOT "/tests/reports/open_run_file.py '" +
                file.path.string() + "'");
  MESSAGE(text);
  CHECK(status == 0);
}

TEST_CASE("h5dump opens the run file") {
  const File file;
  if (!std::filesystem::exists("/usr/bin/h5dump")) {
    MESSAGE("SKIPPED: h5dump (package hdf5-tools) is not here, so it did not open the run file");
    return;
  }
  const auto [text, status] = output_of("/usr/bin/h5dump '" + file.path.string() + "'");
  CHECK(status == 0);
  CHECK(text.find("\"gemm_s8_int_ref") != std::string::npos);
  CHECK(text.find("CHARSET") == std::string::npos);
  CHECK(text.find("H5T_VARIABLE") == std::string::npos);
  CHECK(text.find("unable to") == std::string::npos);
}

}  // namespace
}  // namespace qb
