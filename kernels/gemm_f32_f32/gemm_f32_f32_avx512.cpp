#include "kernels/gemm_f32_f32/gemm_f32_f32.h"
#include "kernels/gemm_f32_f32/tile.h"
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 64;
constexpr std::int64_t kDepth = 512;  // rows of a panel that stay in the second-level cache: 128 KiB

template <int kRows, int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column, const float* panel) {
  const std::int64_t step = even_step(args.m, kRows);
  constexpr std::int64_t kWidth = kVectors * Avx512::kLanes;
  for (std::int64_t begin = 0; begin < args.k; begin += kDepth) {
    Tile tile;
    tile.a_stride = args.a_stride;
    tile.w = panel + begin * kWidth;
    tile.w_stride = kWidth;
    tile.depth = args.k - begin < kDepth ? args.k - begin : kDepth;
    tile.y_stride = args.y_stride;
    tile.columns = args.n_end - column;
    tile.scale = nullptr;
    tile.first = begin == 0;
    for (std::int64_t i = 0; i < args.m; i += step) {
      tile.a = static_cast<const float*>(args.a) + i * args.a_stride + begin;
      tile.y = args.y + i * args.y_stride + column;
      fill_some_rows<Avx512, kRows, kVectors>(tile, args.m - i < step ? args.m - i : step);
    }
  }
}

}  // namespace

void gemm_f32_f32_avx512(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    const float* panel = static_cast<const float*>(args.w) + column * args.k;
    switch ((args.n_end - column + 15) / 16) {
      case 1: fill_panel<12, 1>(args, column, panel); break;
      case 2: fill_panel<12, 2>(args, column, panel); break;
      case 3: fill_panel<8, 3>(args, column, panel); break;
      default: fill_panel<6, 4>(args, column, panel); break;
    }
  }
}

}  // namespace qb
