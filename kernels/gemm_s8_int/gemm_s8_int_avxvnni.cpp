#include "kernels/gemm_s8_int/dot_vnni_256.h"

namespace qb {

void gemm_s8_int_avxvnni(const GemmArgs& args) { fill_columns_of_any_codes<VnniDot>(args); }

}  // namespace qb
