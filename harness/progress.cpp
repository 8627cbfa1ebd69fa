#include "harness/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace qb {

namespace {

constexpr std::int64_t kTerminalPeriod_ns = 250'000'000;
constexpr std::int64_t kPlainPeriod_ns = 10'000'000'000;

}  // namespace

std::string time_left_text(double seconds) {
  if (!std::isfinite(seconds)) return "unknown";
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string progress_line(const Coordinator& coordinator, int width, std::int64_t now_ns) {
  const Scheduler& scheduler = coordinator.scheduler();
  const Study& study = coordinator.plan().study;
  std::string line;
  for (const std::string& fault : {coordinator.storage_fault(), coordinator.nobody_accepts(now_ns)})
    if (!fault.empty()) line += fault + " | ";
  line += fmt::format("{}/{} settled", scheduler.settled(), scheduler.units());
  for (const Outcome outcome : {Outcome::unsupported, Outcome::failed, Outcome::timed_out, Outcome::mistrusted})
    if (coordinator.count(outcome) > 0) line += fmt::format(", {} {}", coordinator.count(outcome), name_of(outcome));
  const double done = double(scheduler.settled()) - double(coordinator.settled_before());
  const double rate = done / (double(now_ns - coordinator.started_ns()) * 1e-9);
  if (done > 0 && !scheduler.all_settled())
    line += fmt::format(" | {:.3g} units/s, {} left", rate,
                        time_left_text(double(scheduler.units() - scheduler.settled()) / rate));
  for (Scheduler::Worker w = 0; w < coordinator.workers().size(); ++w) {
    const WorkerRow& row = coordinator.workers()[w];
    if (row.phase.empty() || !scheduler.alive(w, now_ns) || scheduler.is_settled(row.unit)) continue;
    const Combination c = combination_of(study, coordinator.plan().units[row.unit].point);
    line += fmt::format(" | {} {} {} {} b{}: {}", c.model, c.quantizer, c.hardware, c.kernel, c.batch, row.phase);
  }
  if (line.size() > std::size_t(width)) line = line.substr(0, std::size_t(width - 1)) + ">";
  return line;
}

ProgressDisplay::ProgressDisplay() : terminal_(::isatty(STDERR_FILENO) == 1), width_(100) {
  winsize size{};
  if (terminal_ && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) width_ = size.ws_col - 1;
}

bool ProgressDisplay::due(std::int64_t now_ns) const {
  return last_ns_ == 0 || now_ns - last_ns_ >= (terminal_ ? kTerminalPeriod_ns : kPlainPeriod_ns);
}

void ProgressDisplay::show(const std::string& line, std::int64_t now_ns) {
  last_ns_ = now_ns;
  if (!terminal_) {
    if (line != last_) std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    shown_ = true;
  }
  last_ = line;
  std::fflush(stderr);
}

void ProgressDisplay::clear() {
  if (shown_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

void ProgressDisplay::say(const std::string& line) {
  clear();
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace qb
