#include "kernels/convolution/float_window_steps.h"
#include "kernels/convolution/quad_neon.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 16;

template <int kRows, int kVectors>
void fill(const FloatWindowsArgs& args, const WindowPanel& panel) {
  fill_window_panel<FloatStep<QuadNeon, 32>, kRows, kVectors>(args, panel);
}

}  // namespace

void f32_windows_neon(const FloatWindowsArgs& args) {
  const std::int64_t k = args.kernel[0] * args.kernel[1] * args.channels;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::int64_t columns = args.n_end - column, vectors = columns < kPanel ? (columns + 3) / 4 : 4;
    const WindowPanel panel{static_cast<const unsigned char*>(args.w) + 4 * column * k, 16 * vectors, column, columns};
    switch (vectors) {
      case 1: fill<8, 1>(args, panel); break;
      case 2: fill<8, 2>(args, panel); break;
      case 3: fill<7, 3>(args, panel); break;
      default: fill<5, 4>(args, panel); break;
    }
  }
}

}  // namespace qb
