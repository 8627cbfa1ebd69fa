#include "kernels/gemm_f32_f32/vector_avx2.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/multiply_panels.h"

namespace qb {

void gemm_f32_w_avx2(const GemmArgs& args) { multiply_weight_panels<Avx2>(args); }

}  // namespace qb
