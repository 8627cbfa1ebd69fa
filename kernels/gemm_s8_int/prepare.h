// Codes of up to 4 bits, two per byte, in the order in which the kernels read them.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Integer codes of at most 4 bits; groups of multiples of 16, or one scale per channel or tensor.
bool gemm_s8_q4_accepts(const QuantFormat& format, std::int64_t k);

/// Each throws Unsupported when a group is so long that its sum could leave int32 (from 561,000 weights up).
Buffer prepare_s8_q4_ref(const PackedMatrix& weights);
Buffer prepare_s8_q4_avx2(const PackedMatrix& weights);
Buffer prepare_s8_q4_avx512vnni(const PackedMatrix& weights);

}  // namespace qb
