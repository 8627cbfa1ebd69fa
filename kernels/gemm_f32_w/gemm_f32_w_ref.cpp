#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/weight_value.h"

namespace qb {

namespace {

/// The values of weights (row, [begin, end)), which share their parameters.
void decode(const WeightCodes& w, std::int64_t k, std::int64_t row, std::int64_t begin, std::int64_t end,
            float* values) {
  const std::int64_t parameter = parameter_of(w, row, begin);
  for (std::int64_t t = begin; t < end; ++t) {
    float value = level_of(w, k, row, t, parameter);
    if (w.scale) value *= array_at<float>(w, w.scale)[parameter];
    if (w.offset) value += array_at<float>(w, w.offset)[parameter];
    values[t - begin] = value;
  }
}

}  // namespace

/// The definition. Written to be read beside the formula in the header, not to be fast, but for decoding a weight once
/// for all rows.
void gemm_f32_w_ref(const GemmArgs& args) {
  constexpr std::int64_t kMost = 256;
  const auto& w = *static_cast<const WeightCodes*>(args.w);
  float values[kMost];
  for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
    for (std::int64_t i = 0; i < args.m; ++i) args.y[i * args.y_stride + j] = 0.0f;
    for (std::int64_t begin = 0, end; begin < args.k; begin = end) {
      const std::int64_t group_end = (begin / w.group + 1) * w.group, most = begin + kMost;
      end = group_end < most ? group_end : most;
      if (end > args.k) end = args.k;
      decode(w, args.k, j, begin, end, values);
      for (std::int64_t i = 0; i < args.m; ++i) {
        const float* a = static_cast<const float*>(args.a) + i * args.a_stride;
        float sum = args.y[i * args.y_stride + j];
        for (std::int64_t t = begin; t < end; ++t) sum += a[t] * values[t - begin];
        args.y[i * args.y_stride + j] = sum;
      }
    }
  }
}

}  // namespace qb
