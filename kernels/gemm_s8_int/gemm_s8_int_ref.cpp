#include <cmath>

#include "kernels/gemm_s8_q4/gemm_s8_q4.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_s8_q4_ref(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q4*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scale);
  const auto* zero = reinterpret_cast<const std::int32_t*>(base + at->zero);
  for (std::int64_t i = 0; i < args.m; ++i) {
    const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const std::uint8_t* code = base + at->codes + j * args.k;
      float sum = 0.0f;
      for (std::int64_t g = 0; g < at->groups; ++g) {
        const std::int64_t end = (g + 1) * at->group < args.k ? (g + 1) * at->group : args.k;
        std::int32_t dot = 0;
        for (std::int64_t t = g * at->group; t < end; ++t)
          dot += (a[t] - args.a_zero[i]) * (code[t] - zero[j * at->groups + g]);
        sum = std::fmaf(float(dot), scale[j * at->groups + g], sum);
      }
      args.y[i * args.y_stride + j] = args.a_scale[i] * sum;
    }
  }
}

}  // namespace qb
