#include "kernels/gemm_f32_f32/vector_avx512.h"
#include "kernels/gemm_f32_w/channel_table_avx512.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/multiply_panels.h"

namespace qb {

void gemm_f32_w_avx512(const GemmArgs& args) { multiply_weight_panels<Avx512>(args); }

}  // namespace qb
