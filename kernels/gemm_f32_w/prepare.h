// Weights of any format with whole groups, in their bits.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Everything but float32 and tables with scales; with groups of multiples of 16, or one scale (or table) per channel
/// or tensor.
bool gemm_f32_w_accepts(const QuantFormat& format, std::int64_t k);

/// What the levels of tables and of level sets become before they are stored.
enum class LevelRounding : std::uint8_t { none, bf16 };

/// How a kernel wants weight_panels.h.
struct PanelForm {
  std::int64_t lanes;  ///< words of 32 bits in a vector
  LevelRounding rounding = LevelRounding::none;
  int table_element_bits = 32;  ///< tables of columns: bits of a level, 32 for float32 or 16 for bf16
};

/// The layouts of weight_panels.h and of WeightCodes.
Buffer make_weight_panels(const PackedMatrix& weights, const PanelForm& form);
Buffer make_weight_codes(const PackedMatrix& weights, LevelRounding rounding);

Buffer prepare_f32_w_ref(const PackedMatrix& weights);
template <std::int64_t kLanes>
Buffer prepare_f32_w(const PackedMatrix& weights) {
  return make_weight_panels(weights, {.lanes = kLanes});
}

}  // namespace qb
