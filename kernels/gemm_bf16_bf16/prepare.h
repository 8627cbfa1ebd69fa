// bf16 weights, rounded from any weight format.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool gemm_bf16_bf16_accepts(const QuantFormat& format, std::int64_t k);  ///< always
Buffer prepare_bf16_bf16_ref(const PackedMatrix& weights);
Buffer prepare_bf16_bf16_avx2(const PackedMatrix& weights);
Buffer prepare_bf16_bf16_avx512(const PackedMatrix& weights);  ///< and for avx512bf16

}  // namespace qb
