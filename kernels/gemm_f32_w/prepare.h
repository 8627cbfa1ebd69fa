// Weights of any format with whole groups, in their bits.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Everything but float32, with groups of multiples of 16, or one scale (or table) per channel or tensor.
bool gemm_f32_w_accepts(const QuantFormat& format, std::int64_t k);

Buffer prepare_f32_w_ref(const PackedMatrix& weights);
Buffer prepare_f32_w_avx2(const PackedMatrix& weights);
Buffer prepare_f32_w_avx512(const PackedMatrix& weights);

/// What the levels of tables and of level sets become before they are stored.
enum class LevelRounding : std::uint8_t { none, bf16 };

/// The layouts of weight_panels.h, for vectors of `lanes` columns, and of WeightCodes.
Buffer make_weight_panels(const PackedMatrix& weights, std::int64_t lanes, LevelRounding rounding);
Buffer make_weight_codes(const PackedMatrix& weights, LevelRounding rounding);

}  // namespace qb
