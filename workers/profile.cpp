#include "workers/profile.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/cpu.h"
#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "kernels/peaks.h"
#include "workers/build_id.h"  // made at build time (cmake/build_id.cmake)
#include "workers/host.h"
#include "workers/sampler.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(trimmed(line));
}

/// "48K" or "32M" as bytes; 0 when it is neither.
std::int64_t size_of(std::string_view text) {
  if (text.empty()) return 0;
  const std::int64_t unit = text.back() == 'K'   ? 1 << 10
                            : text.back() == 'M' ? 1 << 20
                            : text.back() == 'G' ? 1 << 30
                                                 : 0;
  return unit ? parse_int(text.substr(0, text.size() - 1)).value_or(0) * unit : parse_int(text).value_or(0);
}

void read_caches(HardwareProfile& profile) {
  for (int index = 0;; ++index) {
    const fs::path folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}", index);
    const std::string level = line_of(folder / "level");
    if (level.empty()) return;
    if (line_of(folder / "type") == "Instruction") continue;
    const std::int64_t bytes = size_of(line_of(folder / "size"));
    (level == "1" ? profile.l1d_bytes : level == "2" ? profile.l2_bytes : profile.l3_bytes) = bytes;
  }
}

/// Members of the first processor in /proc/cpuinfo, and how many sockets there are.
void read_cpuinfo(HardwareProfile& profile) {
  std::map<std::string, std::string, std::less<>> first;
  std::set<std::string> sockets;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key(trimmed(std::string_view(line).substr(0, colon)));
    const std::string value(trimmed(std::string_view(line).substr(colon + 1)));
    first.emplace(key, value);
    if (key == "physical id") sockets.insert(value);
  }
  const auto number = [&](std::string_view key) { return int(parse_int(first[std::string(key)]).value_or(-1)); };
  profile.cpu_vendor = first["vendor_id"];
  profile.cpu_model = first["model name"];
  profile.cpu_family = number("cpu family");
  profile.cpu_model_number = number("model");
  profile.cpu_stepping = number("stepping");
  profile.microcode = first["microcode"];
  profile.sockets = std::max(1, int(sockets.size()));
}

/// MemTotal to the nearest 256 MiB: what the kernel keeps for itself changes from boot to boot.
std::int64_t memory_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::int64_t kib = 0;
  file >> key >> kib;
  constexpr std::int64_t kStep = std::int64_t(256) << 20;
  return (kib * 1024 + kStep / 2) / kStep * kStep;
}

int threads_per_core() {
  int count = 0;
  const std::string siblings = line_of("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
  for (const std::string_view range : split(siblings, ',')) {
    const std::size_t dash = range.find('-');
    const auto low = parse_int(range.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : parse_int(range.substr(dash + 1));
    if (low && high) count += int(*high - *low + 1);
  }
  return std::max(1, count);
}

std::string key_of(const HardwareProfile& p) {
  return sha256_hex(fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", p.architecture, p.cpu_vendor,
                                p.cpu_model, p.cpu_family, p.cpu_model_number, p.cpu_stepping, p.microcode,
                                p.processors, p.threads_per_core, p.sockets, p.l1d_bytes, p.l2_bytes, p.l3_bytes,
                                p.memory_bytes, p.isa, p.kernel_release, p.compiler, p.flags));
}

fs::path kept_at(const HardwareProfile& profile, const fs::path& cache) {
  return cache / fmt::format("peaks-{}.json", sha256_hex(profile.machine_key + profile.build).substr(0, 32));
}

/// The half width over the median of repeated medians of one fixed computation.
double measure_aa_noise(const Clock& clock, double budget_s) {
  volatile std::uint64_t sink = 0;
  const auto work = [&] {
    std::uint64_t x = sink;
    for (int i = 0; i < 4000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
    sink = x;
  };
  const TimerFacts timer = measure_timer(clock);
  constexpr int kRounds = 9;
  SamplingRule rule{9, 9, 1e-6, budget_s * 1e9 / kRounds};
  std::vector<double> medians;
  for (int round = 0; round < kRounds; ++round) {
    const SampleSet set = sample_hot(work, rule, timer, clock);
    std::vector<double> times;
    for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i)
      times.push_back(set.time_ns[i] / double(set.iterations[i]));
    std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
    medians.push_back(times[times.size() / 2]);
  }
  return relative_half_width(medians);
}

}  // namespace

HardwareProfile read_profile() {
  HardwareProfile profile;
  utsname system{};
  ::uname(&system);
  profile.architecture = system.machine;
  profile.host = system.nodename;
  const std::vector<std::string_view> release = split(system.release, '.');
  profile.kernel_release = release.size() < 2 ? system.release : fmt::format("{}.{}", release[0], release[1]);
  read_cpuinfo(profile);
  read_caches(profile);
  profile.processors = int(std::max(1l, ::sysconf(_SC_NPROCESSORS_ONLN)));
  profile.threads_per_core = threads_per_core();
  profile.memory_bytes = memory_bytes();
  profile.isa = to_text(detected_isa());
#if defined(__clang__)
  profile.compiler = __VERSION__;
#else
  profile.compiler = "gcc " __VERSION__;
#endif
  profile.flags = QB_BUILD_FLAGS;
  profile.build = QB_VERSION " " QB_SOURCE_DIGEST;
  profile.machine_key = key_of(profile);
  return profile;
}

void measure_profile(HardwareProfile& profile, double budget_s) {
  const Clock clock = [] { return now_ns(); };
  const TimerFacts timer = measure_timer(clock);
  profile.timer_resolution_ns = timer.resolution_ns;
  profile.timer_cost_ns = timer.cost_ns;
  const Peaks peaks = measure_peaks(hardware_threads(), std::max(0.1, 0.8 * budget_s));
  profile.peak_read_bytes_per_s = peaks.read_bytes_per_s;
  profile.peak_s8_ops_per_s = peaks.s8_ops_per_s;
  profile.peak_f32_ops_per_s = peaks.f32_ops_per_s;
  profile.peak_bf16_ops_per_s = peaks.bf16_ops_per_s;
  profile.aa_noise = measure_aa_noise(clock, 0.2 * budget_s);
}

fs::path default_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/') return fs::path(cache) / "quantbench";
  if (const char* home = std::getenv("HOME"); home && *home == '/') return fs::path(home) / ".cache" / "quantbench";
  return fmt::format("/tmp/quantbench-{}", ::getuid());
}

bool recall_peaks(HardwareProfile& profile, const fs::path& cache) {
  try {
    const std::string path = kept_at(profile, cache).string();
    const HardwareProfile kept =
        profile_from_json(parse_json(read_file(path, 1 << 16), path, Blame::peer), path, Blame::peer);
    if (kept.machine_key != profile.machine_key || kept.build != profile.build) return false;
    const std::string host = profile.host;
    profile = kept;
    profile.host = host;
    return true;
  } catch (const DataError&) {
    return false;  // nothing kept yet, or damaged: it is measured again
  }
}

void require_peaks(HardwareProfile& profile, const fs::path& cache, double budget_s) {
  if (recall_peaks(profile, cache)) return;
  const HostLock alone(HostLock::Use::timing);
  if (recall_peaks(profile, cache)) return;  // a neighbour measured while we waited
  measure_profile(profile, budget_s);
  try {
    fs::create_directories(cache);
    write_file_atomically(kept_at(profile, cache), canonical_text(to_json(profile)));
  } catch (const std::runtime_error&) {
    // Not kept: the next start measures again.
  }
}

}  // namespace qb
