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
  struct Row {
    std::string_view kernel;
    WindowProductsFn products;
    PixelSumsFn pixel_sums;
    std::int64_t channel_step;
    bool leaves_padding_out, reads_wide_pixels;
  };
  static constexpr Row kRows[] = {
#if defined(__x86_64__)
    {"gemm_s8_q8_avx2", window_products_avx2, pixel_sums_portable, 2, false, true},
    {"gemm_s8_q8_avxvnni", window_products_avxvnni, pixel_sums_portable, 4, false, false},
    {"gemm_s8_q8_avx512vnni", window_products_avx512vnni, pixel_sums_avx512vnni, 4, true, false},
#elif defined(__aarch64__)
    {"gemm_s8_q8_neon", window_products_neon, pixel_sums_portable, 2, false, false},
    {"gemm_s8_q8_dotprod", window_products_dotprod, pixel_sums_portable, 4, false, false},
#endif
    {},
  };
  InPlace found;
  for (const Row& row : kRows) {
    if (row.kernel != kernel.name) continue;
    found.products = row.products;
    found.pixel_sums = row.pixel_sums;
    found.channel_step = row.channel_step;
    found.leaves_padding_out = row.leaves_padding_out;
    found.reads_wide_pixels = row.reads_wide_pixels;
  }
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
