#include "kernels/gemm_bf16_bf16/gemm_bf16_bf16.h"

#include "kernels/base/small_floats.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_bf16_bf16_ref(const GemmArgs& args) {
  for (std::int64_t i = 0; i < args.m; ++i) {
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const auto* a = static_cast<const std::uint16_t*>(args.a) + i * args.a_stride;
      const auto* w = static_cast<const std::uint16_t*>(args.w) + j * args.k;
      float sum = 0.0f;
      for (std::int64_t t = 0; t < args.k; ++t) sum += f32_from_bf16(a[t]) * f32_from_bf16(w[t]);
      args.y[i * args.y_stride + j] = sum;
    }
  }
}

}  // namespace qb
