#include "kernels/gemm_bf16_bf16/gemm_bf16_bf16.h"
#include "kernels/gemm_bf16_w/multiply_pairs.h"

namespace qb {

void gemm_bf16_bf16_avx512bf16(const GemmArgs& args) { multiply_all_panels<PairValues, 16>(args); }

}  // namespace qb
