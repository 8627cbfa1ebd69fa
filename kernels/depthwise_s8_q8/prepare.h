// Codes as signed bytes, with what the zero points need.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Integers with one scale per row of weights and no offsets, k at most kDepthwiseArea.
bool depthwise_s8_q8_accepts(const QuantFormat& format, std::int64_t k);
Buffer prepare_depthwise_s8_q8(const PackedMatrix& weights);

}  // namespace qb
