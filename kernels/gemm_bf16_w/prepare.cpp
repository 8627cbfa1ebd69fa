#include "kernels/gemm_bf16_w/prepare.h"

namespace qb {

bool gemm_bf16_w_accepts(const QuantFormat& format, std::int64_t k) {
  return !is_float(format.kind) && gemm_f32_w_accepts(format, k);
}

bool gemm_bf16_w_accepts_fp8(const QuantFormat& format, std::int64_t k) {
  return (format.levels == LevelSet::e4m3 || format.levels == LevelSet::e5m2) && gemm_bf16_w_accepts(format, k);
}

Buffer prepare_bf16_w_ref(const PackedMatrix& weights) { return make_weight_codes(weights, LevelRounding::bf16); }

}  // namespace qb
