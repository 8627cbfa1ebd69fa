#include "kernels/gemm_f32_f32/prepare.h"

#include "kernels/panels.h"

namespace qb {

Buffer prepare_f32_f32_panels(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector) {
  const PanelShape shape{columns, vector, 1};
  Buffer bytes(sizeof(float) * std::size_t(panel_elements(shape, weights.n, weights.k)));
  std::vector<float> row(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    dequantize_row(weights, j, row.data());
    fill_panel_column(shape, weights.n, weights.k, j, row.data(), bytes.as<float>());
  }
  return bytes;
}

bool gemm_f32_f32_accepts(const QuantFormat&, std::int64_t) { return true; }

Buffer prepare_f32_f32_ref(const PackedMatrix& weights) { return prepare_f32_f32_panels(weights, 1, 1); }

}  // namespace qb
