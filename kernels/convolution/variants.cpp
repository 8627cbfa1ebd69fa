#include "kernels/convolution/variants.h"

namespace qb {

GatherRunsFn gather_runs([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return gather_runs_avx512;
#endif
  return gather_runs_portable;
}

AddTransposedFn add_transposed([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return add_transposed_avx512;
#endif
  return add_transposed_portable;
}

InPlace in_place_variant([[maybe_unused]] const KernelInfo& kernel) {
  InPlace found;
#if defined(__x86_64__)
  if (kernel.name == "gemm_s8_q8_avx512vnni") {
    found.products = window_products_avx512vnni;
    found.pixel_sums = pixel_sums_avx512vnni;
  }
#endif
  return found;
}

FloatWindows float_windows_variant(const KernelInfo& kernel) {
  struct Row {
    std::string_view kernel;
    FloatWindows windows;
  };
  static constexpr Row kRows[] = {
#if defined(__x86_64__)
    {"gemm_f32_f32_avx2", {f32_windows_avx2}},
    {"gemm_f32_f32_avx512", {f32_windows_avx512}},
    {"gemm_bf16_bf16_avx2", {bf16_windows_avx2, PixelKind::f32_of_bf16, 2}},
    {"gemm_bf16_bf16_avx512", {bf16_windows_avx512, PixelKind::f32_of_bf16, 2}},
    {"gemm_bf16_bf16_avx512bf16", {bf16_windows_avx512bf16, PixelKind::bf16, 2}},
#elif defined(__aarch64__)
    {"gemm_f32_f32_neon", {f32_windows_neon}},
    {"gemm_bf16_bf16_neon", {bf16_windows_neon, PixelKind::f32_of_bf16, 2}},
#endif
    {},
  };
  for (const Row& row : kRows)
    if (row.kernel == kernel.name) return row.windows;
  return {};
}

}  // namespace qb
