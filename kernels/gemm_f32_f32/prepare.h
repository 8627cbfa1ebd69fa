// Panels of float32, decoded from any weight format.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool gemm_f32_f32_accepts(const QuantFormat& format, std::int64_t k);  ///< always
Buffer prepare_f32_f32_ref(const PackedMatrix& weights);

/// Panels of kColumns columns in vectors of kVector, as gemm_f32_f32.h describes.
Buffer prepare_f32_f32_panels(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector);
template <std::int64_t kColumns, std::int64_t kVector>
Buffer prepare_f32_f32(const PackedMatrix& weights) {
  return prepare_f32_f32_panels(weights, kColumns, kVector);
}

}  // namespace qb
