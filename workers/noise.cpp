#include "workers/noise.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The numbers of a line, its words left out.
std::vector<std::int64_t> numbers_of(const std::string& line) {
  std::vector<std::int64_t> numbers;
  for (const std::string_view part : split(line, ' '))
    if (const auto number = parse_int(part)) numbers.push_back(*number);
  return numbers;
}

/// "some avg10=1.23 avg60=..." of the processor's pressure, in percent.
double cpu_pressure() {
  for (const std::string& line = first_line("/proc/pressure/cpu"); const std::string_view part : split(line, ' ')) {
    if (!part.starts_with("avg10=")) continue;
    const double value = parse_double(part.substr(6)).value_or(kMissing);
    return value >= 0 && value <= 100 ? value : kMissing;
  }
  return kMissing;
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : kMissing;
}

/// A fixed chain of dependent multiplications, so that nothing but the clock rate and interruptions changes its time.
std::uint64_t spin_once(std::uint64_t x) {
  for (int i = 0; i < 16'000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

}  // namespace

SpinReading calibration_spin() {
  std::array<double, 101> times{};
  std::uint64_t state = 1;
  for (double& time : times) {
    const std::int64_t begin = now_ns();
    state = spin_once(state);
    asm volatile("" : "+r"(state));
    time = double(now_ns() - begin);
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

NoiseCounters read_noise_counters() {
  NoiseCounters counters;
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  counters.thread_cpu_ns = std::int64_t(cpu.tv_sec) * 1'000'000'000 + cpu.tv_nsec;
  counters.wall_ns = now_ns();
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) == 0) counters.involuntary_switches = usage.ru_nivcsw;
  if (const auto schedstat = numbers_of(first_line("/proc/thread-self/schedstat")); schedstat.size() >= 2) {
    counters.run_ns = schedstat[0];
    counters.wait_ns = schedstat[1];
  }
  // user nice system idle iowait irq softirq steal; guest times are already part of user and nice
  if (const auto ticks = numbers_of(first_line("/proc/stat")); ticks.size() >= 8) {
    counters.steal_ticks = ticks[7];
    counters.all_ticks = 0;
    for (std::size_t i = 0; i < 8; ++i) counters.all_ticks += ticks[i];
  }
  return counters;
}

NoiseStart begin_noise() { return {calibration_spin(), read_noise_counters()}; }

NoiseRecord end_noise(const NoiseStart& start, int threads) {
  const NoiseCounters after = read_noise_counters();
  NoiseRecord record = compare_noise(start, after, calibration_spin(), threads);
  record.pressure = cpu_pressure();
  record.load1 = load_average();
  return record;
}

NoiseRecord compare_noise(const NoiseStart& before, const NoiseCounters& after, const SpinReading& spin_after,
                          int threads) {
  const NoiseCounters& start = before.counters;
  NoiseRecord record;
  const auto share = [](std::int64_t part, std::int64_t whole) {
    return part >= 0 && whole > 0 ? double(part) / double(whole) : kMissing;
  };
  record.cpu_over_wall = share(after.thread_cpu_ns - start.thread_cpu_ns, after.wall_ns - start.wall_ns);
  if (start.involuntary_switches >= 0)
    record.involuntary_switches = after.involuntary_switches - start.involuntary_switches;
  if (start.run_ns >= 0) record.wait_over_run = share(after.wait_ns - start.wait_ns, after.run_ns - start.run_ns);
  if (start.all_ticks >= 0)
    record.steal = share(after.steal_ticks - start.steal_ticks, after.all_ticks - start.all_ticks);
  record.spin_before_ns = before.spin.median_ns;
  record.spin_after_ns = spin_after.median_ns;
  record.marked = noise_marks(record, before.spin, spin_after, threads);
  return record;
}

std::string noise_marks(const NoiseRecord& record, const SpinReading& before, const SpinReading& after, int threads) {
  std::vector<std::string> marks;
  if (threads == 1 && record.cpu_over_wall < 0.98)
    marks.push_back(fmt::format("processor time is {:.3f} of wall time", record.cpu_over_wall));
  if (record.wait_over_run > 0.01)
    marks.push_back(fmt::format("waited for a processor for {:.1f} % of the run", 100 * record.wait_over_run));
  if (record.steal > 0.01) marks.push_back(fmt::format("{:.1f} % of processor time was stolen", 100 * record.steal));
  for (const SpinReading& spin : {before, after})
    if (spin.median_ns > 1.03 * spin.least_ns)
      marks.push_back(fmt::format("calibration spin took {:.3f} of its minimum", spin.median_ns / spin.least_ns));
  if (const double drift = after.median_ns / before.median_ns - 1; std::abs(drift) > 0.02)
    marks.push_back(fmt::format("calibration spin drifted by {:+.1f} %", 100 * drift));
  return join(marks, "; ");
}

}  // namespace qb
