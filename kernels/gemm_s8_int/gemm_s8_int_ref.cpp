#include <cmath>

#include "kernels/gemm_s8_int/gemm_s8_int.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_s8_int_ref(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Int*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scales);
  const auto* offset = reinterpret_cast<const float*>(base + at->offsets);
  for (std::int64_t i = 0; i < args.m; ++i) {
    const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const auto* level = reinterpret_cast<const std::int16_t*>(base + at->codes) + j * args.k;
      float total = 0.0f;
      for (std::int64_t g = 0; g < at->groups; ++g) {
        const std::int64_t end = (g + 1) * at->group < args.k ? (g + 1) * at->group : args.k;
        std::int32_t dot = 0, sum = 0;
        for (std::int64_t t = g * at->group; t < end; ++t) {
          dot += (a[t] - args.a_zero[i]) * level[t];
          sum += a[t] - args.a_zero[i];
        }
        const float step = args.a_scales > 1 ? args.a_scale[i * args.a_scales + g] : 1.0f;  // a factor of 1 is exact
        total = std::fmaf(float(dot), scale[j * at->groups + g] * step, total);
        if (at->offset_bytes) total = std::fmaf(float(sum), offset[j * at->groups + g] * step, total);
      }
      args.y[i * args.y_stride + j] = args.a_scales > 1 ? total : args.a_scale[i] * total;
    }
  }
}

}  // namespace qb
