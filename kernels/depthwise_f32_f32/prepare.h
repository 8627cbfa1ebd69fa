// Decodes weights of every format to float32.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool depthwise_f32_f32_accepts(const QuantFormat& format, std::int64_t k);  ///< everything
Buffer prepare_depthwise_f32_f32(const PackedMatrix& weights);              ///< [n, k]

}  // namespace qb
