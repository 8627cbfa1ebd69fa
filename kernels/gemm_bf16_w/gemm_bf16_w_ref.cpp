#include "kernels/gemm_bf16_w/gemm_bf16_w.h"

#include "kernels/base/small_floats.h"
#include "kernels/gemm_f32_w/weight_value.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_bf16_w_ref(const GemmArgs& args) {
  const auto& w = *static_cast<const WeightCodes*>(args.w);
  for (std::int64_t i = 0; i < args.m; ++i) {
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const auto* a = static_cast<const std::uint16_t*>(args.a) + i * args.a_stride;
      float y = 0.0f;
      for (std::int64_t begin = 0; begin < args.k; begin += w.group) {
        const std::int64_t end = begin + w.group < args.k ? begin + w.group : args.k;
        const std::int64_t parameter = parameter_of(w, j, begin);
        const float scale = w.scale ? array_at<float>(w, w.scale)[parameter] : 1.0f;
        float sum = 0.0f;
        for (std::int64_t t = begin; t < end; ++t) {
          float level = level_of(w, args.k, j, t, parameter);
          if (w.offset) level = f32_from_bf16(bf16_from_f32(level * scale + array_at<float>(w, w.offset)[parameter]));
          sum += f32_from_bf16(a[t]) * level;
        }
        y += w.offset ? sum : scale * sum;
      }
      args.y[i * args.y_stride + j] = y;
    }
  }
}

}  // namespace qb
