// The machine, by what can change a number.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/base/json.h"

namespace qb {

/// Stable identifiers only; machine_key is the SHA-256 of all of them but host, build and the peaks, so that a machine
/// keeps its key from one night's build to the next.
struct HardwareProfile {
  std::string machine_key;
  std::string host;
  std::string architecture, cpu_vendor, cpu_model;
  int cpu_family = -1, cpu_model_number = -1, cpu_stepping = -1;
  std::string microcode;
  int processors = 0, threads_per_core = 0, sockets = 0;
  std::int64_t l1d_bytes = 0, l2_bytes = 0, l3_bytes = 0;
  std::int64_t memory_bytes = 0;  ///< to the nearest 256 MiB
  std::string isa;                ///< to_text(detected_isa())
  std::string kernel_release;     ///< major.minor
  std::string compiler, flags;    ///< of this build
  std::string build;              ///< version and digest of the sources
  // Measured once per machine key and build, and kept; not part of the key.
  double peak_read_bytes_per_s = 0, peak_s8_ops_per_s = 0, peak_f32_ops_per_s = 0, peak_bf16_ops_per_s = 0;
  double timer_resolution_ns = 0, timer_cost_ns = 0;
  double aa_noise = 0;  ///< relative half-width of repeated identical timings
};

HardwareProfile read_profile();                                   ///< without the measured part
void measure_profile(HardwareProfile& profile, double budget_s);  ///< fills the measured part
Json to_json(const HardwareProfile& profile);
HardwareProfile profile_from_json(const Json& value, const std::string& where, Blame blame);

}  // namespace qb
