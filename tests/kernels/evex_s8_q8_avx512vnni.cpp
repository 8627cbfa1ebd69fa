// The AVX-VNNI kernels' own source with the other encoding of its one instruction: EVEX instead of VEX.
#include "kernels/convolution/code_window_quads_256.h"
#include "tests/kernels/evex_kernels.h"

namespace qb {

void gemm_s8_q8_evex(const GemmArgs& args) { fill_columns<VnniTile>(args); }
void window_products_evex(const WindowProductsArgs& args) { fill_code_panels<QuadStep>(args); }

}  // namespace qb
