// The AVX-VNNI kernels for hosts that have vpdpbusd on 256 bits in its EVEX encoding only.
#pragma once
#include "kernels/convolution/window_products.h"
#include "kernels/gemm_args.h"

namespace qb {

void gemm_s8_int_evex(const GemmArgs& args);
void gemm_s8_q8_evex(const GemmArgs& args);
void window_products_evex(const WindowProductsArgs& args);

}  // namespace qb
