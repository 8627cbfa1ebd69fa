#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

void gemm_s8_int4_avx512vnni(const GemmArgs& args) { fill_columns<PlainCodes<4>>(args); }

}  // namespace qb
