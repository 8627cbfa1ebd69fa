#include "kernels/convolution/float_window_steps.h"
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 64;

template <int kRows, int kVectors>
void fill(const FloatWindowsArgs& args, const WindowPanel& panel) {
  fill_window_panel<FloatStep<Avx512, 32>, kRows, kVectors>(args, panel);
}

}  // namespace

void f32_windows_avx512(const FloatWindowsArgs& args) {
  const std::int64_t k = args.kernel[0] * args.kernel[1] * args.channels;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::int64_t columns = args.n_end - column, vectors = columns < kPanel ? (columns + 15) / 16 : 4;
    const WindowPanel panel{static_cast<const unsigned char*>(args.w) + 4 * column * k, 64 * vectors, column, columns};
    switch (vectors) {
      case 1: fill<8, 1>(args, panel); break;
      case 2: fill<8, 2>(args, panel); break;
      case 3: fill<8, 3>(args, panel); break;
      default: fill<7, 4>(args, panel); break;
    }
  }
}

}  // namespace qb
