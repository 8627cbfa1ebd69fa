// Runs the real programs: each test has a folder of its own, each wait a limit.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "reports/record/run_file.h"

namespace qb {

namespace fs = std::filesystem;

/// A fresh folder that is removed with everything in it.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "quantbench-e2e-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

 private:
  fs::path path_;
};

inline std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A program that was started; its output goes to files. Killed, with what it started, if it is still there at the end.
class Program {
 public:
  Program(const std::vector<std::string>& words, const fs::path& folder, const std::function<void()>& in_child = {})
      : out_(folder / "stdout.txt"), err_(folder / "stderr.txt") {
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::dup2(::open("/dev/null", O_RDONLY), 0);
      ::dup2(::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
      ::dup2(::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
      if (::chdir(folder.c_str()) != 0) ::_exit(126);
      if (in_child) in_child();
      std::vector<char*> arguments;
      for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::setpgid(pid_, pid_);
  }
  ~Program() {
    if (!ended_) kill_group();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  std::string out() const { return text_of(out_); }
  std::string err() const { return text_of(err_); }

  /// The exit code, or 128 + signal; fails the test when the limit passes.
  int wait(std::chrono::seconds limit = std::chrono::seconds(550)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (int status = 0; std::chrono::steady_clock::now() < end;
         std::this_thread::sleep_for(std::chrono::milliseconds(10)))
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        ended_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
    kill_group();
    FAIL("a program did not end within its limit; its errors: " << err());
    return -1;
  }
  void kill_group() {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ended_ = true;
  }

 private:
  fs::path out_, err_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

inline std::string program_path(const std::string& name) { return (fs::path(QB_BINARY_ROOT) / name).string(); }

/// `quantbench WORDS...` run to its end in `folder`.
struct Ended {
  int code = -1;
  std::string out, err;
};
inline Ended quantbench(const Folder& folder, std::vector<std::string> words,
                        const std::function<void()>& in_child = {}) {
  words.insert(words.begin(), program_path("quantbench"));
  Program program(words, folder.path(), in_child);
  const int code = program.wait();
  return {code, program.out(), program.err()};
}

/// The only file called run.h5 below `folder`.
inline fs::path run_file_in(const fs::path& folder) {
  fs::path found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().filename() == "run.h5") {
      CHECK_MESSAGE(found.empty(), "a second run file: " << entry.path().string());
      found = entry.path();
    }
  REQUIRE_MESSAGE(!found.empty(), "no run.h5 below " << folder.string());
  return found;
}

/// Every planned unit stands once in the record, settled.
inline void check_complete(const RunRecord& run, std::size_t units) {
  CHECK(run.plan.size() == units);
  REQUIRE(run.measurements.size() == run.plan.size());
  for (std::size_t i = 0; i < run.plan.size(); ++i) {
    CHECK(run.measurements[i].unit == run.plan[i].unit.id);
    CHECK_MESSAGE(run.plan[i].status != "pending", run.plan[i].unit.combination.quantizer);
  }
}

}  // namespace qb
