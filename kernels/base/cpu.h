// Instruction sets: what the host has, what the user allows, how they are called.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

/// A set of instruction-set features. Each bit stands for everything that its file suffix is compiled with.
enum class Isa : std::uint32_t {
  none = 0,
  avx2 = 1u << 0,           ///< AVX2, FMA, F16C (suffix _avx2)
  avxvnni = 1u << 1,        ///< AVX-VNNI, the VEX-encoded form (suffix _avxvnni)
  avx512 = 1u << 2,         ///< AVX-512 F, BW, VL, DQ (suffix _avx512)
  avx512vnni = 1u << 3,     ///< AVX-512 VNNI (suffix _avx512vnni)
  avx512vbmi = 1u << 4,     ///< AVX-512 VBMI
  avx512bf16 = 1u << 5,     ///< AVX-512 BF16
  avx512vpopcnt = 1u << 6,  ///< AVX-512 VPOPCNTDQ and BITALG
  neon = 1u << 8,           ///< Armv8 Advanced SIMD
  dotprod = 1u << 9,        ///< Armv8.2 dot product
  i8mm = 1u << 10,          ///< Armv8.6 int8 matrix product
};
constexpr Isa operator|(Isa a, Isa b) { return Isa(std::uint32_t(a) | std::uint32_t(b)); }
constexpr Isa operator&(Isa a, Isa b) { return Isa(std::uint32_t(a) & std::uint32_t(b)); }
constexpr bool includes(Isa all, Isa some) { return (all & some) == some; }

Isa detected_isa();  ///< what processor and operating system offer; read once

/// What may be used: detected_isa() capped by the environment variable QUANTBENCH_ISA, read once.
/// Throws InputError when the variable holds an unknown name.
Isa host_isa();

/// The features that a cap allows. Known caps, each including those before it on its architecture:
/// "scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "neon", "dotprod", "i8mm", and "best" (no cap).
/// Throws InputError naming the nearest cap.
Isa isa_cap(std::string_view name);
std::vector<std::string> isa_cap_names();

/// "avx2+avx512+avx512vnni"; "scalar" for none.
std::string to_text(Isa isa);

}  // namespace qb
