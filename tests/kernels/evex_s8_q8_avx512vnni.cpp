// The AVX-VNNI kernel's own source with the other encoding of its one instruction: EVEX instead of VEX.
#include "kernels/gemm_s8_q8/tile_vnni_256.h"
#include "tests/kernels/evex_kernels.h"

namespace qb {

void gemm_s8_q8_evex(const GemmArgs& args) { fill_columns<VnniTile>(args); }

}  // namespace qb
