#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_s8_q8_ref(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const S8Q8*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scale);
  const auto* zero = reinterpret_cast<const std::int32_t*>(base + at->zero);
  for (std::int64_t i = 0; i < args.m; ++i) {
    const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const std::uint8_t* code = base + at->codes + j * args.k;
      std::int32_t sum = 0;
      for (std::int64_t t = 0; t < args.k; ++t) sum += (a[t] - args.a_zero[i]) * (code[t] - zero[j]);
      args.y[i * args.y_stride + j] = float(sum) * (args.a_scale[i] * scale[j]);
    }
  }
}

}  // namespace qb
