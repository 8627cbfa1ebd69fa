#include "kernels/base/cpu.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace qb {

namespace {

struct Named {
  std::string_view name;
  Isa isa;
};
constexpr std::array kFeatures = {
    Named{"avx2", Isa::avx2},
    Named{"avxvnni", Isa::avxvnni},
    Named{"avx512", Isa::avx512},
    Named{"avx512vnni", Isa::avx512vnni},
    Named{"avx512vbmi", Isa::avx512vbmi},
    Named{"avx512bf16", Isa::avx512bf16},
    Named{"avx512vpopcnt", Isa::avx512vpopcnt},
    Named{"neon", Isa::neon},
    Named{"dotprod", Isa::dotprod},
    Named{"i8mm", Isa::i8mm},
};
constexpr std::array kCaps = {
    Named{"scalar", Isa::none},
    Named{"avx2", Isa::avx2},
    Named{"avxvnni", Isa::avx2 | Isa::avxvnni},
    Named{"avx512", Isa::avx2 | Isa::avxvnni | Isa::avx512},
    Named{"avx512vnni", Isa::avx2 | Isa::avxvnni | Isa::avx512 | Isa::avx512vnni},
    Named{"neon", Isa::neon},
    Named{"dotprod", Isa::neon | Isa::dotprod},
    Named{"i8mm", Isa::neon | Isa::dotprod | Isa::i8mm},
    Named{"best", Isa(~0u)},
};

Isa read_processor() {
  Isa found = Isa::none;
#if defined(__x86_64__)
  const auto add = [&](bool present, Isa isa) { found = present ? found | isa : found; };
  __builtin_cpu_init();
  add(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), Isa::avx2);
  add(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq"),
      Isa::avx512);
  add(includes(found, Isa::avx512) && __builtin_cpu_supports("avx512vnni"), Isa::avx512vnni);
  add(includes(found, Isa::avx512) && __builtin_cpu_supports("avx512vbmi"), Isa::avx512vbmi);
  add(includes(found, Isa::avx512) && __builtin_cpu_supports("avx512bf16"), Isa::avx512bf16);
  add(includes(found, Isa::avx512) && __builtin_cpu_supports("avx512vpopcntdq") &&
          __builtin_cpu_supports("avx512bitalg"),
      Isa::avx512vpopcnt);
  std::uint32_t a = 7, b = 0, c = 1, d = 0;  // leaf 7.1, EAX bit 4; gcc 12 has no name for it
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  add(includes(found, Isa::avx2) && (a >> 4 & 1u) != 0, Isa::avxvnni);
#elif defined(__aarch64__)
  found = Isa::neon;
  if (::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found = found | Isa::dotprod;
  if (::getauxval(AT_HWCAP2) & HWCAP2_I8MM) found = found | Isa::i8mm;
#endif
  return found;
}

}  // namespace

Isa detected_isa() {
  static const Isa isa = read_processor();
  return isa;
}

Isa host_isa() {
  static const Isa isa = [] {
    const char* cap = std::getenv("QUANTBENCH_ISA");
    return cap && *cap ? detected_isa() & isa_cap(cap) : detected_isa();
  }();
  return isa;
}

Isa isa_cap(std::string_view name) {
  for (const Named& cap : kCaps)
    if (cap.name == name) return cap.isa;
  throw InputError(fmt::format("instruction set '{}' is not known{}", name, suggestion(name, isa_cap_names())));
}

std::vector<std::string> isa_cap_names() {
  std::vector<std::string> names;
  for (const Named& cap : kCaps) names.emplace_back(cap.name);
  return names;
}

std::string to_text(Isa isa) {
  std::vector<std::string> names;
  for (const Named& feature : kFeatures)
    if (includes(isa, feature.isa)) names.emplace_back(feature.name);
  return names.empty() ? "scalar" : join(names, "+");
}

}  // namespace qb
