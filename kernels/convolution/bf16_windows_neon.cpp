#include "kernels/convolution/float_window_steps.h"
#include "kernels/convolution/pair_panels.h"
#include "kernels/convolution/quad_neon.h"

namespace qb {

/// The panels' vectors of 8 columns are two registers.
void bf16_windows_neon(const FloatWindowsArgs& args) { fill_pair_panels<WidenedPairs<QuadNeon, 32>, 5, 8, 4, 2>(args); }

}  // namespace qb
