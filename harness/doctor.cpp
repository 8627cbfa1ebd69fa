#include "harness/doctor.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "workers/noise.h"
#include "workers/profile.h"

namespace qb {

namespace {

constexpr double kPeakBudget_s = 2.0;
constexpr std::int64_t kNoiseSection_ns = 500'000'000;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(trimmed(line));
}

/// How the noise of a section is said to people, by its key.
constexpr std::pair<const char*, const char*> kNoiseWords[] = {
    {"cpu_over_wall", "processor / wall time"},
    {"wait_over_run", "waiting / running"},
    {"involuntary_switches", "switched out, times"},
    {"pressure_percent", "pressure, percent"},
    {"steal", "stolen by the host"},
};

/// Settings of the system that move timings; "" where the system does not say.
Json system_facts() {
  return {{"processors here", hardware_threads()},
          {"frequency governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
          {"turbo off", first_line("/sys/devices/system/cpu/intel_pstate/no_turbo")},
          {"threads per core active", first_line("/sys/devices/system/cpu/smt/active")},
          {"isolated processors", first_line("/sys/devices/system/cpu/isolated")},
          {"transparent huge pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled")},
          {"load", first_line("/proc/loadavg")}};
}

/// The noise of half a second of arithmetic on one thread.
NoiseRecord noise_now() {
  const NoiseStart start = begin_noise();
  for (const std::int64_t until = now_ns() + kNoiseSection_ns; now_ns() < until;) calibration_spin();
  return end_noise(start, 1);
}

Json advice(const Json& system, const NoiseRecord& noise) {
  Json lines = Json::array();
  const std::string governor = system["frequency governor"];
  if (!governor.empty() && governor != "performance")
    lines.push_back(fmt::format("the frequency governor is '{}'; 'performance' gives steadier timings", governor));
  if (system["threads per core active"] == "1")
    lines.push_back("sibling hardware threads are active; leave the other one of a core idle while measuring");
  if (!noise.marked.empty()) lines.push_back(fmt::format("the machine is not quiet now: {}", noise.marked));
  if (noise.load1 > hardware_threads())
    lines.push_back(fmt::format("the load is {:.2g}, more than the processors there are", noise.load1));
  return lines;
}

std::string rate_text(const Json& value, const char* unit) {
  return value.is_number() && value.get<double>() > 0 ? fmt::format("{:.4g} G{}", value.get<double>() * 1e-9, unit)
                                                      : "none";
}

}  // namespace

Json machine_facts() {
  HardwareProfile profile = read_profile();
  require_peaks(profile, default_cache_folder(), kPeakBudget_s);
  const NoiseRecord noise = noise_now();
  const Json system = system_facts();
  const auto number = [](double value) { return value == value ? Json(value) : Json(nullptr); };
  return {{"profile", to_json(profile)},
          {"system", system},
          {"noise",
           {{"cpu_over_wall", number(noise.cpu_over_wall)},
            {"involuntary_switches", noise.involuntary_switches},
            {"wait_over_run", number(noise.wait_over_run)},
            {"pressure_percent", number(noise.pressure)},
            {"steal", number(noise.steal)},
            {"load1", number(noise.load1)},
            {"marked", noise.marked}}},
          {"advice", advice(system, noise)}};
}

std::string machine_text(const Json& facts) {
  const Json& profile = facts["profile"];
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("{:<24}{}\n", name, value);
  };
  const auto bytes = [&](const char* key) { return bytes_text(profile[key].get<double>()); };
  line("host", profile["host"]);
  line("processor",
       fmt::format("{} (family {}, model {}, stepping {}, microcode {})", profile["cpu_model"].get<std::string>(),
                   profile["cpu_family"].dump(), profile["cpu_model_number"].dump(), profile["cpu_stepping"].dump(),
                   profile["microcode"].get<std::string>()));
  line("processors", fmt::format("{} in {} socket(s), {} per core", profile["processors"].dump(),
                                 profile["sockets"].dump(), profile["threads_per_core"].dump()));
  line("caches", fmt::format("L1d {}, L2 {}, L3 {}", bytes("l1d_bytes"), bytes("l2_bytes"), bytes("l3_bytes")));
  line("memory", bytes("memory_bytes"));
  line("instruction sets", profile["isa"]);
  line("kernel", profile["kernel_release"]);
  line("build", fmt::format("{}, {}, {}", profile["build"].get<std::string>(), profile["compiler"].get<std::string>(),
                            profile["flags"].get<std::string>()));
  line("machine key", profile["machine_key"]);
  text += "\nmeasured on one thread\n";
  line("read bandwidth", rate_text(profile["peak_read_bytes_per_s"], "B/s"));
  line("int8", rate_text(profile["peak_s8_ops_per_s"], "op/s"));
  line("float32", rate_text(profile["peak_f32_ops_per_s"], "op/s"));
  line("bfloat16", rate_text(profile["peak_bf16_ops_per_s"], "op/s"));
  line("timer", fmt::format("resolution {}, cost {}", duration_text(profile["timer_resolution_ns"].get<double>()),
                            duration_text(profile["timer_cost_ns"].get<double>())));
  if (profile["aa_noise"].is_number())
    line("A/A noise",
         fmt::format("{:.2g} % (half width of repeated identical timings)", 100 * profile["aa_noise"].get<double>()));
  text += "\nnow\n";
  for (const auto& [name, value] : facts["system"].items())
    line(name, value.is_string() ? value.get<std::string>() : value.dump());
  for (const auto& [key, words] : kNoiseWords)
    if (const Json& value = facts["noise"][key]; value.is_number())
      line(words, fmt::format("{:.3g}", value.get<double>()));
  text += "\n";
  for (const Json& sentence : facts["advice"]) text += "- " + sentence.get<std::string>() + "\n";
  return text + (facts["advice"].empty() ? "nothing here disturbs measurements as far as the system says\n" : "");
}

}  // namespace qb
