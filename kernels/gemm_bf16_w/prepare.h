// Weights of any format with whole groups, in their bits, with levels that bf16 holds.
#pragma once
#include "kernels/gemm_f32_w/prepare.h"

namespace qb {

/// Everything but float32, bf16 and tables with scales; with groups of multiples of 16, or one scale (or table) per
/// channel or tensor.
bool gemm_bf16_w_accepts(const QuantFormat& format, std::int64_t k);

/// Floats of 8 bits only.
bool gemm_bf16_w_accepts_fp8(const QuantFormat& format, std::int64_t k);

Buffer prepare_bf16_w_ref(const PackedMatrix& weights);
template <std::int64_t kLanes, int kTableElementBits = 32>
Buffer prepare_bf16_w(const PackedMatrix& weights) {
  return make_weight_panels(weights, {kLanes, LevelRounding::bf16, kTableElementBits});
}

}  // namespace qb
