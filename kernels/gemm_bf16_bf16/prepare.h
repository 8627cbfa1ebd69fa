// bf16 weights, rounded from any weight format.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool gemm_bf16_bf16_accepts(const QuantFormat& format, std::int64_t k);  ///< always
Buffer prepare_bf16_bf16_ref(const PackedMatrix& weights);

/// Panels for vectors of kLanes columns.
Buffer prepare_bf16_panels(const PackedMatrix& weights, std::int64_t lanes);
template <std::int64_t kLanes>
Buffer prepare_bf16_bf16(const PackedMatrix& weights) {
  return prepare_bf16_panels(weights, kLanes);
}

}  // namespace qb
