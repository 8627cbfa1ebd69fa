#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

void gemm_s8_int8_avx512vnni(const GemmArgs& args) { fill_columns<PlainCodes<8>>(args); }

}  // namespace qb
