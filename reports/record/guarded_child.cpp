#include "reports/record/guarded_child.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"

namespace qb {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kAddressSpaceIsReserved = true;  ///< a sanitizer maps terabytes at start
#else
constexpr bool kAddressSpaceIsReserved = false;
#endif

std::uint64_t address_space_now() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * std::uint64_t(::sysconf(_SC_PAGESIZE));
}

void limit(__rlimit_resource resource, std::uint64_t value) {
  const rlimit both{value, value};
  ::setrlimit(resource, &both);
}

/// Writes "=" and the message, or only "=", and ends the child.
[[noreturn]] void child_main(int pipe, const ChildLimits& limits, const std::function<void()>& work) {
  for (const int crash : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    ::signal(crash, SIG_DFL);  // the program's own handlers are not for us
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, std::uint64_t(limits.seconds));
  if (limits.memory_bytes > 0 && !kAddressSpaceIsReserved) limit(RLIMIT_AS, address_space_now() + limits.memory_bytes);
  std::string answer = "=";
  try {
    work();
  } catch (const std::exception& error) {
    answer += error.what();
  }
  answer.resize(std::min<std::size_t>(answer.size(), 4096));  // a pipe takes so much without a reader
  const bool written = ::write(pipe, answer.data(), answer.size()) == ssize_t(answer.size());
  ::_exit(written ? 0 : 1);
}

/// Everything that the child writes until it closes its end; stops at the deadline.
std::string read_until_closed(int pipe, std::int64_t deadline_ns, bool& late) {
  std::string text;
  for (;;) {
    const std::int64_t left_ms = (deadline_ns - now_ns()) / 1'000'000;
    late = left_ms <= 0;
    if (late) return text;
    pollfd waiting{pipe, POLLIN, 0};
    if (::poll(&waiting, 1, int(std::min<std::int64_t>(left_ms, 60'000))) <= 0) continue;
    char buffer[4096];
    const ssize_t got = ::read(pipe, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, std::size_t(got));
  }
}

}  // namespace

ChildReport run_guarded(const ChildLimits& limits, const std::function<void()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) throw InputError(fmt::format("no pipe to a guarded child: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    child_main(ends[1], limits, work);
  }
  const int fork_error = errno;
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    throw InputError(fmt::format("no process for a guarded child: {}", std::strerror(fork_error)));
  }
  bool late = false;
  const std::string answer = read_until_closed(ends[0], now_ns() + std::int64_t(limits.seconds) * 1'000'000'000, late);
  ::close(ends[0]);
  if (late) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return {false, fmt::format("did not end within {} s", limits.seconds)};
  if (WIFSIGNALED(status)) return {false, fmt::format("was ended by signal {}", WTERMSIG(status))};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty() || answer[0] != '=')
    return {false, "ended without an answer"};
  return {true, answer.substr(1)};
}

}  // namespace qb
