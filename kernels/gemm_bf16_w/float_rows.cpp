#include "kernels/gemm_bf16_w/float_rows.h"

#include <bit>
#include <vector>

namespace qb {

GemmArgs with_float_rows(const GemmArgs& args) {
  static thread_local std::vector<float> floats;  // kept, so that a timed call allocates nothing once warm
  floats.resize(std::size_t(args.m * args.k));
  for (std::int64_t i = 0; i < args.m; ++i) {
    const auto* row = static_cast<const std::uint16_t*>(args.a) + i * args.a_stride;
    float* out = floats.data() + i * args.k;
    for (std::int64_t t = 0; t < args.k; ++t) out[t] = std::bit_cast<float>(std::uint32_t(row[t]) << 16);
  }
  GemmArgs with = args;
  with.a = floats.data();
  with.a_stride = args.k;
  return with;
}

}  // namespace qb
