// Panels of float32, decoded from any weight format.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/packed_matrix.h"
#include "kernels/panels.h"

namespace qb {

bool gemm_f32_f32_accepts(const QuantFormat& format, std::int64_t k);  ///< always
Buffer prepare_f32_f32_ref(const PackedMatrix& weights);

/// The panels that the variant of these instructions reads: those with which the kernel table prepares its weights.
constexpr PanelShape f32_panel_shape(Isa needs) {
  if (includes(needs, Isa::avx512)) return {64, 16, 1};
  if (includes(needs, Isa::avx2)) return {16, 8, 1};
  return includes(needs, Isa::neon) ? PanelShape{16, 4, 1} : PanelShape{1, 1, 1};
}

/// Panels of kColumns columns in vectors of kVector, as gemm_f32_f32.h describes.
Buffer prepare_f32_f32_panels(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector);
template <std::int64_t kColumns, std::int64_t kVector>
Buffer prepare_f32_f32(const PackedMatrix& weights) {
  return prepare_f32_f32_panels(weights, kColumns, kVector);
}

}  // namespace qb
