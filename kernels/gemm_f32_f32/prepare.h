// Panels of float32, decoded from any weight format.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool gemm_f32_f32_accepts(const QuantFormat& format, std::int64_t k);  ///< always
Buffer prepare_f32_f32_ref(const PackedMatrix& weights);
Buffer prepare_f32_f32_avx2(const PackedMatrix& weights);
Buffer prepare_f32_f32_avx512(const PackedMatrix& weights);
Buffer prepare_f32_f32_neon(const PackedMatrix& weights);

}  // namespace qb
