// bf16 activations as float32, for instruction sets that cannot multiply bf16.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// The same product with its rows of bf16 as float32, in memory of the calling thread that lasts until its next call.
GemmArgs with_float_rows(const GemmArgs& args);

}  // namespace qb
