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

}  // namespace qb
