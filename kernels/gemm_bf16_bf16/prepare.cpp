#include "kernels/gemm_bf16_bf16/prepare.h"

#include "kernels/gemm_f32_w/prepare.h"

namespace qb {

namespace {

PackedMatrix as_bf16(const PackedMatrix& weights) {
  if (weights.format.kind == CodeKind::bf16) return weights;
  const std::vector<float> values = dequantize(weights);
  return pack_bf16({values.data(), weights.n, weights.k, weights.k});
}

}  // namespace

bool gemm_bf16_bf16_accepts(const QuantFormat&, std::int64_t) { return true; }

Buffer prepare_bf16_bf16_ref(const PackedMatrix& weights) { return as_bf16(weights).codes; }
Buffer prepare_bf16_panels(const PackedMatrix& weights, std::int64_t lanes) {
  return make_weight_panels(as_bf16(weights), {.lanes = lanes});
}

}  // namespace qb
