// Codes widened to bytes and laid out in panels, with what the zero points need.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool gemm_s8_q8_accepts(const QuantFormat& format, std::int64_t k);  ///< integer, one scale per tensor or channel

/// Throws Unsupported when k is so large that a sum could leave int32: from 33026 (8 bits with stored zeros) up.
void require_exact_depth(const PackedMatrix& weights);

/// Each calls require_exact_depth().
Buffer prepare_s8_q8_ref(const PackedMatrix& weights);
Buffer prepare_s8_q8_avx2(const PackedMatrix& weights);
Buffer prepare_s8_q8_avxvnni(const PackedMatrix& weights);
Buffer prepare_s8_q8_avx512vnni(const PackedMatrix& weights);
Buffer prepare_s8_q8_neon(const PackedMatrix& weights);
Buffer prepare_s8_q8_dotprod(const PackedMatrix& weights);
Buffer prepare_s8_q8_i8mm(const PackedMatrix& weights);

/// The largest number of products of (activation - zero) and (code - zero) that int32 certainly holds.
std::int64_t exact_int32_depth(const QuantFormat& format);

}  // namespace qb
