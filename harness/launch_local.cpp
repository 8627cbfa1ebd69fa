#include "harness/launch_local.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::int64_t kQuickEnd_ns = 2'000'000'000;
constexpr std::int64_t kFirstPause_ns = 250'000'000;
constexpr int kMaxQuickEnds = 4;  ///< in a row; then the worker is not started again

/// What the child does between fork and exec: only calls that are safe there.
[[noreturn]] void become_worker(char* const* arguments, int log, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

LocalWorkers::LocalWorkers(LocalLaunch launch, std::int64_t now_ns)
    : launch_(std::move(launch)), slots_(std::size_t(launch_.count)) {
  if (::access(launch_.program.c_str(), X_OK) != 0)
    throw InputError(fmt::format("worker program '{}' cannot be run: {}; it is built beside quantbench",
                                 launch_.program.string(), std::strerror(errno)));
  for (std::size_t i = 0; i < slots_.size(); ++i) start(i, now_ns);
}

LocalWorkers::~LocalWorkers() {
  signal(SIGKILL);
  for (const Slot& slot : slots_)
    if (slot.process > 0) ::waitpid(slot.process, nullptr, 0);
}

std::filesystem::path LocalWorkers::log_of(std::size_t index) const {
  return launch_.folder / fmt::format("worker-{}.log", index + 1);
}

void LocalWorkers::start(std::size_t index, std::int64_t now_ns) {
  Slot& slot = slots_[index];
  slot.name = fmt::format("local-{}.{}", index + 1, ++slot.starts);
  const int log = ::open(log_of(index).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0)
    throw InputError(fmt::format("file '{}' cannot be written: {}", log_of(index).string(), std::strerror(errno)));
  std::vector<std::string> words = {launch_.program.string()};
  words.insert(words.end(), launch_.arguments.begin(), launch_.arguments.end());
  words.insert(words.end(),
               {"--name", slot.name, "--spool", (launch_.folder / fmt::format("spool-{}", index + 1)).string()});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process == 0) become_worker(arguments.data(), log, parent);
  const int fault = errno;
  ::close(log);
  if (process < 0)
    throw InputError(
        fmt::format("worker program '{}' cannot be started: {}", launch_.program.string(), std::strerror(fault)));
  ::setpgid(process, process);  // both sides set it, so that neither can be too early
  slot.process = process;
  slot.started_ns = now_ns;
}

std::vector<std::string> LocalWorkers::poll(bool replace, std::int64_t now_ns) {
  std::vector<std::string> ended;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.process > 0 && ::waitpid(slot.process, nullptr, WNOHANG) == slot.process) {
      ::kill(-slot.process, SIGKILL);  // what it left behind in its group
      ended.push_back(slot.name);
      slot.process = -1;
      last_ended_ = i;
      slot.quick_ends = now_ns - slot.started_ns < kQuickEnd_ns ? slot.quick_ends + 1 : 0;
      slot.not_before_ns = slot.quick_ends == 0 ? now_ns : now_ns + (kFirstPause_ns << slot.quick_ends);
    }
    if (slot.process < 0 && replace && slot.quick_ends < kMaxQuickEnds && slot.starts <= launch_.restarts &&
        now_ns >= slot.not_before_ns)
      start(i, now_ns);
  }
  return ended;
}

int LocalWorkers::running() const {
  return int(std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.process > 0; }));
}

bool LocalWorkers::exhausted() const {
  return std::all_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.process < 0 && (slot.quick_ends >= kMaxQuickEnds || slot.starts > launch_.restarts);
  });
}

std::string LocalWorkers::last_words() const {
  std::ifstream file(log_of(last_ended_));
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!trimmed(line).empty()) last = line;
  return last.substr(0, 500);
}

void LocalWorkers::signal(int number) const {
  for (const Slot& slot : slots_)
    if (slot.process > 0) ::kill(-slot.process, number);
}

}  // namespace qb
