#include "workers/records/hardware_profile.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "workers/records/record_fields.h"

namespace qb {

namespace {

constexpr std::size_t kTextBytes = 2048;
constexpr double kLargest = 1e18;

struct TextMember {
  const char* key;
  std::string HardwareProfile::*member;
};
constexpr TextMember kTexts[] = {
    {"machine_key", &HardwareProfile::machine_key},
    {"host", &HardwareProfile::host},
    {"architecture", &HardwareProfile::architecture},
    {"cpu_vendor", &HardwareProfile::cpu_vendor},
    {"cpu_model", &HardwareProfile::cpu_model},
    {"microcode", &HardwareProfile::microcode},
    {"isa", &HardwareProfile::isa},
    {"kernel_release", &HardwareProfile::kernel_release},
    {"compiler", &HardwareProfile::compiler},
    {"flags", &HardwareProfile::flags},
    {"build", &HardwareProfile::build},
};
struct CountMember {
  const char* key;
  int HardwareProfile::*member;
};
constexpr CountMember kCounts[] = {
    {"cpu_family", &HardwareProfile::cpu_family},
    {"cpu_model_number", &HardwareProfile::cpu_model_number},
    {"cpu_stepping", &HardwareProfile::cpu_stepping},
    {"processors", &HardwareProfile::processors},
    {"threads_per_core", &HardwareProfile::threads_per_core},
    {"sockets", &HardwareProfile::sockets},
};
struct SizeMember {
  const char* key;
  std::int64_t HardwareProfile::*member;
};
constexpr SizeMember kSizes[] = {
    {"l1d_bytes", &HardwareProfile::l1d_bytes},
    {"l2_bytes", &HardwareProfile::l2_bytes},
    {"l3_bytes", &HardwareProfile::l3_bytes},
    {"memory_bytes", &HardwareProfile::memory_bytes},
};
struct NumberMember {
  const char* key;
  double HardwareProfile::*member;
};
constexpr NumberMember kNumbers[] = {
    {"peak_read_bytes_per_s", &HardwareProfile::peak_read_bytes_per_s},
    {"peak_s8_ops_per_s", &HardwareProfile::peak_s8_ops_per_s},
    {"peak_f32_ops_per_s", &HardwareProfile::peak_f32_ops_per_s},
    {"peak_bf16_ops_per_s", &HardwareProfile::peak_bf16_ops_per_s},
    {"timer_resolution_ns", &HardwareProfile::timer_resolution_ns},
    {"timer_cost_ns", &HardwareProfile::timer_cost_ns},
    {"aa_noise", &HardwareProfile::aa_noise},
};

}  // namespace

Json to_json(const HardwareProfile& profile) {
  Json value = Json::object();
  for (const auto& [key, member] : kTexts) value[key] = profile.*member;
  for (const auto& [key, member] : kCounts) value[key] = profile.*member;
  for (const auto& [key, member] : kSizes) value[key] = profile.*member;
  for (const auto& [key, member] : kNumbers) value[key] = number_json(profile.*member);
  return value;
}

HardwareProfile profile_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  HardwareProfile profile;
  for (const auto& [key, member] : kTexts) profile.*member = short_text(fields, key, kTextBytes);
  for (const auto& [key, member] : kCounts)
    profile.*member = int(fields.integer(key, -1, std::numeric_limits<int>::max()));
  for (const auto& [key, member] : kSizes) profile.*member = fields.integer(key, 0, std::int64_t(1) << 60);
  for (const auto& [key, member] : kNumbers) profile.*member = number_in(fields, key, 0.0, kLargest);
  fields.done();
  if (!is_digest(profile.machine_key))
    fields.fail("machine_key", "must be a SHA-256 in 64 lower-case hexadecimal digits");
  return profile;
}

}  // namespace qb
