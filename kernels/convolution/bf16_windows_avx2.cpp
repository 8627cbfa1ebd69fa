#include "kernels/convolution/float_window_steps.h"
#include "kernels/convolution/pair_panels.h"
#include "kernels/gemm_f32_f32/vector_avx2.h"

namespace qb {

void bf16_windows_avx2(const FloatWindowsArgs& args) { fill_pair_panels<WidenedPairs<Avx2, 16>, 5, 8, 2>(args); }

}  // namespace qb
