#include "kernels/gemm_f32_f32/prepare.h"

#include "kernels/panels.h"

namespace qb {

namespace {

Buffer decode_into_panels(const PackedMatrix& weights, const PanelShape& shape) {
  Buffer bytes(sizeof(float) * std::size_t(panel_elements(shape, weights.n, weights.k)));
  std::vector<float> row(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    dequantize_row(weights, j, row.data());
    fill_panel_column(shape, weights.n, weights.k, j, row.data(), bytes.as<float>());
  }
  return bytes;
}

}  // namespace

bool gemm_f32_f32_accepts(const QuantFormat&, std::int64_t) { return true; }

Buffer prepare_f32_f32_ref(const PackedMatrix& weights) { return decode_into_panels(weights, {1, 1, 1}); }
Buffer prepare_f32_f32_avx2(const PackedMatrix& weights) { return decode_into_panels(weights, {16, 8, 1}); }
Buffer prepare_f32_f32_avx512(const PackedMatrix& weights) { return decode_into_panels(weights, {64, 16, 1}); }
Buffer prepare_f32_f32_neon(const PackedMatrix& weights) { return decode_into_panels(weights, {16, 4, 1}); }

}  // namespace qb
