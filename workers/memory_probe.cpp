#include "workers/memory_probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "kernels/base/clock.h"
#include "kernels/base/memory.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

/// What the copy does; its answer is the peak in bytes, or a text that says why there is none.
std::string measure_in_copy(const std::function<void()>& release, const std::function<void()>& work) {
  try {
    release();
    ::malloc_trim(0);
    if (!reset_peak()) return "the kernel does not let VmHWM be reset";
    work();
    return std::to_string(peak_resident_bytes());
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// All that arrives on `descriptor` until its end or the deadline.
std::string read_until(int descriptor, std::int64_t deadline_ns) {
  std::string text;
  for (std::array<char, 4096> chunk{};;) {
    const std::int64_t left_ms = (deadline_ns - now_ns()) / 1'000'000;
    pollfd wait{descriptor, POLLIN, 0};
    const int ready = left_ms > 0 ? ::poll(&wait, 1, int(std::min<std::int64_t>(left_ms, 1'000'000))) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return text;
    const ssize_t got = ::read(descriptor, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(chunk.data(), std::size_t(got));
  }
}

}  // namespace

MemoryPass measure_peak(const std::function<void()>& release, const std::function<void()>& work, double limit_s) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {-1, fmt::format("no pipe: {}", std::strerror(errno))};
  const pid_t copy = ::fork();
  if (copy < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return {-1, fmt::format("no second process: {}", std::strerror(errno))};
  }
  if (copy == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string answer = measure_in_copy(release, work);
    const ssize_t written = ::write(ends[1], answer.data(), std::min<std::size_t>(answer.size(), PIPE_BUF));
    ::_exit(written >= 0 ? 0 : 1);
  }
  ::close(ends[1]);
  const std::string answer = read_until(ends[0], now_ns() + std::int64_t(limit_s * 1e9));
  ::close(ends[0]);
  ::kill(copy, SIGKILL);  // it has answered, or is late
  rusage usage{};
  int status = 0;
  while (::wait4(copy, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  const auto peak = parse_int(answer);
  if (!peak) return {-1, answer.empty() ? "the memory pass did not end" : answer};
  // Both come from the same counter of the kernel, which is exact to some pages per processor.
  const std::int64_t waited = std::int64_t(usage.ru_maxrss) * 1024;
  const std::int64_t slack = std::max<std::int64_t>(16 << 20, *peak / 20);
  if (waited < *peak - slack || waited > *peak + slack)
    return {-1, fmt::format("VmHWM says {} but wait4 says {}", bytes_text(double(*peak)), bytes_text(double(waited)))};
  return {*peak, {}};
}

}  // namespace qb
