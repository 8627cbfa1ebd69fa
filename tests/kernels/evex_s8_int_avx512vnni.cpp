// The AVX-VNNI kernels' own sources with the other encoding of their one instruction: EVEX instead of VEX.
#include "tests/kernels/evex_kernels.h"

#include "kernels/gemm_s8_int/dot_vnni_256.h"

namespace qb {

void gemm_s8_int_evex(const GemmArgs& args) { fill_columns_of_any_codes<VnniDot>(args); }

}  // namespace qb
