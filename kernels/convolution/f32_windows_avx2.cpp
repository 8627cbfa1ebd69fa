#include "kernels/convolution/float_window_steps.h"
#include "kernels/gemm_f32_f32/vector_avx2.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 16;

template <int kRows, int kVectors>
void fill(const FloatWindowsArgs& args, const WindowPanel& panel) {
  fill_window_panel<FloatStep<Avx2, 16>, kRows, kVectors>(args, panel);
}

}  // namespace

void f32_windows_avx2(const FloatWindowsArgs& args) {
  const std::int64_t k = args.kernel[0] * args.kernel[1] * args.channels;
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const std::int64_t columns = args.n_end - column, vectors = columns > 8 ? 2 : 1;
    const WindowPanel panel{static_cast<const unsigned char*>(args.w) + 4 * column * k, 32 * vectors, column, columns};
    if (vectors == 1)
      fill<8, 1>(args, panel);
    else
      fill<6, 2>(args, panel);
  }
}

}  // namespace qb
