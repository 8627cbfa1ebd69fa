#include "kernels/gemm_bf16_w/prepare.h"

namespace qb {

bool gemm_bf16_w_accepts(const QuantFormat& format, std::int64_t k) {
  return !is_float(format.kind) && gemm_f32_w_accepts(format, k);
}

Buffer prepare_bf16_w_ref(const PackedMatrix& weights) { return make_weight_codes(weights, LevelRounding::bf16); }

}  // namespace qb
