#include "kernels/gemm_f32_f32/gemm_f32_f32.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_f32_f32_ref(const GemmArgs& args) {
  for (std::int64_t i = 0; i < args.m; ++i) {
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const float* a = static_cast<const float*>(args.a) + i * args.a_stride;
      const float* w = static_cast<const float*>(args.w) + j * args.k;
      float sum = 0.0f;
      for (std::int64_t t = 0; t < args.k; ++t) sum += a[t] * w[t];
      args.y[i * args.y_stride + j] = sum;
    }
  }
}

}  // namespace qb
