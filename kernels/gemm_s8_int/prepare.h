// Integer levels in the order in which the kernels read them.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Formats with integer levels; groups of multiples of 16, or one scale per channel or tensor. Not 8-bit integers per
/// channel or tensor without offsets: those are gemm_s8_q8's.
bool gemm_s8_int_accepts(const QuantFormat& format, std::int64_t k);

/// The part of them that kernels of one width read: integers of kBits bits, and for 1 and 2 bits binary and ternary.
template <int kBits>
bool gemm_s8_int_accepts_bits(const QuantFormat& format, std::int64_t k) {
  const bool plain = format.kind == CodeKind::integer || format.levels == LevelSet::binary ||
                     format.levels == LevelSet::ternary || format.levels == LevelSet::trit;
  return plain && format.bits == kBits && gemm_s8_int_accepts(format, k);
}

/// The sets whose codes of kBits bits are looked up in a table.
template <int kBits>
bool gemm_s8_int_accepts_levels(const QuantFormat& format, std::int64_t k) {
  return format.kind == CodeKind::levels && kBits > 2 && format.bits == kBits && gemm_s8_int_accepts(format, k);
}

/// Each throws Unsupported when a group is so long that its sum could leave int32: from 33026 weights (8 bits with
/// zeros) up.
Buffer prepare_s8_int_ref(const PackedMatrix& weights);

/// Panels of kColumns columns in vectors of kVector, as gemm_s8_int.h describes: 32, 16 for AVX-512; 8, 8 for AVX2; 8,
/// 4 for ARM.
Buffer prepare_s8_int_panels(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector);
template <std::int64_t kColumns, std::int64_t kVector>
Buffer prepare_s8_int(const PackedMatrix& weights) {
  return prepare_s8_int_panels(weights, kColumns, kVector);
}

}  // namespace qb
