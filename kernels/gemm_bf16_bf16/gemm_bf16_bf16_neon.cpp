#include "kernels/gemm_bf16_bf16/gemm_bf16_bf16.h"
#include "kernels/gemm_bf16_w/float_rows.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"

namespace qb {

void gemm_bf16_bf16_neon(const GemmArgs& args) { gemm_f32_w_neon(with_float_rows(args)); }

}  // namespace qb
