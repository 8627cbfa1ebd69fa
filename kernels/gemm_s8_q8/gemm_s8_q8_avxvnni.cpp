#include "kernels/gemm_s8_q8/tile_vnni_256.h"

namespace qb {

void gemm_s8_q8_avxvnni(const GemmArgs& args) { fill_columns<VnniTile>(args); }

}  // namespace qb
