// Sign bits of weights in the order in which the kernels read them.
#pragma once
#include "kernels/packed_matrix.h"
#include "kernels/panels.h"

namespace qb {

/// Binary levels; one scale per tensor or channel, or groups of multiples of 64; rows below 2^31.
bool gemm_binary_binary_accepts(const QuantFormat& format, std::int64_t k);

Buffer prepare_binary_binary_ref(const PackedMatrix& weights);

/// Panels of any shape, as gemm_binary_binary.h describes.
Buffer prepare_binary_panels(const PackedMatrix& weights, const PanelShape& shape);
template <std::int64_t kColumns, std::int64_t kVector, std::int64_t kQuad>
Buffer prepare_binary_binary(const PackedMatrix& weights) {
  return prepare_binary_panels(weights, {kColumns, kVector, kQuad});
}

}  // namespace qb
