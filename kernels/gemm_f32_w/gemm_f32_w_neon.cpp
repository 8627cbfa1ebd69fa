#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/multiply_panels.h"
#include "kernels/gemm_f32_w/vector_neon.h"

namespace qb {

void gemm_f32_w_neon(const GemmArgs& args) { multiply_weight_panels<Neon>(args); }

}  // namespace qb
