// Codes widened to bytes and laid out in panels, with what the zero points need.
#pragma once
#include "kernels/packed_matrix.h"
#include "kernels/panels.h"

namespace qb {

bool gemm_s8_q8_accepts(const QuantFormat& format, std::int64_t k);  ///< integer, one scale per tensor or channel

/// Throws Unsupported when k is so large that a sum could leave int32: from 33026 (8 bits with stored zeros) up.
void require_exact_depth(const PackedMatrix& weights);

/// The layouts of gemm_s8_q8.h: of unsigned bytes in panels of any shape, or of signed ones for ARM. Each calls
/// require_exact_depth().
Buffer prepare_s8_q8_unsigned(const PackedMatrix& weights, const PanelShape& shape);
Buffer prepare_s8_q8_signed(const PackedMatrix& weights, std::int64_t quad);
Buffer prepare_s8_q8_ref(const PackedMatrix& weights);
template <std::int64_t kColumns, std::int64_t kVector, std::int64_t kQuad>
Buffer prepare_s8_q8(const PackedMatrix& weights) {
  return prepare_s8_q8_unsigned(weights, {kColumns, kVector, kQuad});
}
template <std::int64_t kQuad>
Buffer prepare_s8_q8_arm(const PackedMatrix& weights) {
  return prepare_s8_q8_signed(weights, kQuad);
}

/// The largest number of products of (activation - zero) and (code - zero) that int32 certainly holds.
std::int64_t exact_int32_depth(const QuantFormat& format);

}  // namespace qb
