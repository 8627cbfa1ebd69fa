#include "kernels/gemm_bf16_w/float_rows.h"
#include "kernels/gemm_bf16_w/gemm_bf16_w.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"

namespace qb {

void gemm_bf16_w_neon(const GemmArgs& args) { gemm_f32_w_neon(with_float_rows(args)); }

}  // namespace qb
