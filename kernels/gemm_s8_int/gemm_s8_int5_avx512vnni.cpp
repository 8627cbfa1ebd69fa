#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

void gemm_s8_int5_avx512vnni(const GemmArgs& args) { fill_columns<PlainCodes<5>>(args); }

}  // namespace qb
