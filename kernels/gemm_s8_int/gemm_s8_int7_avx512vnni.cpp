#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

void gemm_s8_int7_avx512vnni(const GemmArgs& args) { fill_columns<PlainCodes<7>>(args); }

}  // namespace qb
