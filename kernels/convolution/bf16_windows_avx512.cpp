#include "kernels/convolution/float_window_steps.h"
#include "kernels/convolution/pair_panels.h"
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

void bf16_windows_avx512(const FloatWindowsArgs& args) { fill_pair_panels<WidenedPairs<Avx512, 32>, 5, 8>(args); }

}  // namespace qb
