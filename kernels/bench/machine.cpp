#include "kernels/bench/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <set>

#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

/// The value of the first line of /proc/cpuinfo that begins with `key`.
std::string cpuinfo(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return std::string(trimmed(std::string_view(line).substr(line.find(':') + 1)));
  return "unknown";
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.empty() ? "unknown" : line;
}

std::string openblas_cores(const std::vector<OpenblasCore>& cores) {
  std::vector<std::string> words;
  for (const OpenblasCore& core : cores)
    words.push_back(fmt::format("{} {}", core.name.empty() ? "its own choice" : core.name,
                                core.ops_per_s > 0 ? fmt::format("{:.0f}", core.ops_per_s * 1e-9) : "fails"));
  return join(words, ", ") + " GFLOP/s on one thread";
}

}  // namespace

MachineFacts machine_facts(const std::vector<OpenblasCore>& cores) {
  utsname system{};
  ::uname(&system);
  const auto cache = [](int index) {
    return first_line(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index).c_str());
  };
  MachineFacts facts = {
      {"processor",
       fmt::format("{}, family {}, model {}", cpuinfo("model name"), cpuinfo("cpu family"), cpuinfo("model\t"))},
      {"processors usable", std::to_string(hardware_threads())},
      {"instructions", to_text(host_isa())},
      {"caches", fmt::format("L1 {}, L2 {}, L3 {}", cache(0), cache(2), cache(3))},
      {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
      {"compiler", __VERSION__},
      {"load when this was written (1, 5, 15 min)", first_line("/proc/loadavg").substr(0, 14)},
  };
  std::set<std::string> said;
  for (const KernelInfo& kernel : kernels()) {
    if (!kernel.peer) continue;
    std::string words;
    try {
      words = describe_peer(kernel);
    } catch (const Unsupported& error) {
      words = error.what();
    }
    if (said.insert(words).second) facts.emplace_back("peer", words);
  }
  if (!cores.empty()) facts.emplace_back("OpenBLAS core types tried", openblas_cores(cores));
  return facts;
}

}  // namespace qb
