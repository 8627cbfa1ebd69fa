// Sign bits of weights in the order in which the kernels read them.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Binary levels; one scale per tensor or channel, or groups of multiples of 64; rows below 2^31.
bool gemm_binary_binary_accepts(const QuantFormat& format, std::int64_t k);

Buffer prepare_binary_binary_ref(const PackedMatrix& weights);
Buffer prepare_binary_binary_avx2(const PackedMatrix& weights);
Buffer prepare_binary_binary_avx512vpopcnt(const PackedMatrix& weights);
Buffer prepare_binary_binary_neon(const PackedMatrix& weights);

}  // namespace qb
