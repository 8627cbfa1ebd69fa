#include "kernels/depthwise_f32_f32/prepare.h"

namespace qb {

bool depthwise_f32_f32_accepts(const QuantFormat&, std::int64_t) { return true; }

Buffer prepare_depthwise_f32_f32(const PackedMatrix& weights) {
  Buffer bytes(sizeof(float) * std::size_t(weights.n * weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) dequantize_row(weights, j, bytes.as<float>() + j * weights.k);
  return bytes;
}

}  // namespace qb
