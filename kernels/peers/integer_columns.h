// int32 products of a library scaled as gemm_s8_q8_ref scales, bit for bit.
#pragma once
#include <cstdint>

#include "kernels/gemm_args.h"
#include "kernels/packed_matrix.h"
#include "kernels/peers/onednn_matmul.h"

namespace qb {

/// Prepared bytes: scale, zero - middle and the sum over t of (code - middle), [n] each, where middle = 2^(bits-1);
/// then what onednn_weights() makes of code - middle.
Buffer integer_columns(OnednnTypes types, const PackedMatrix& weights);
const void* library_weights(const GemmArgs& args);  ///< the second part of args.w

/// Makes y of the products of (a + shift) and (code - middle), int32 as the library gives them: dense rows of n, which
/// may lie where y lies.
void scale_products(const GemmArgs& args, std::int32_t shift, const float* products);

}  // namespace qb
