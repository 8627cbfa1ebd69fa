#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/weight_value.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_f32_w_ref(const GemmArgs& args) {
  const auto& w = *static_cast<const WeightCodes*>(args.w);
  for (std::int64_t i = 0; i < args.m; ++i) {
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const float* a = static_cast<const float*>(args.a) + i * args.a_stride;
      float sum = 0.0f;
      for (std::int64_t t = 0; t < args.k; ++t) {
        float value = level_of(w, args.k, j, t);
        if (w.scale) value *= array_at<float>(w, w.scale)[parameter_of(w, j, t)];
        if (w.offset) value += array_at<float>(w, w.offset)[parameter_of(w, j, t)];
        sum += a[t] * value;
      }
      args.y[i * args.y_stride + j] = sum;
    }
  }
}

}  // namespace qb
