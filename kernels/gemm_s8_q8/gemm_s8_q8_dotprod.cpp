#include "kernels/gemm_s8_q8/tiles_arm.h"

namespace qb {

namespace {

/// Four products of signed bytes at a time are added into int32 (sdot).
struct Tile {
  static constexpr int kRows = 4;

  template <int kLane, int kCount, int kVectors>
  QB_INLINE static void multiply_quad(int32x4_t (&sum)[kCount][kVectors], const int8x16_t (&a)[kCount],
                                      const std::int8_t* codes) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const int8x16_t column = vld1q_s8(codes + 16 * (kLane * kVectors + v));
      QB_UNROLL for (int r = 0; r < kCount; ++r) sum[r][v] = vdotq_laneq_s32(sum[r][v], column, a[r], kLane);
    }
  }

  template <int kCount, int kVectors>
  [[gnu::noinline]] static void fill(const GemmArgs& args, const ArmPanel& panel, std::int64_t i) {
    const auto* first = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    int32x4_t sum[kCount][kVectors];
    QB_UNROLL for (int r = 0; r < kCount; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = vdupq_n_s32(0);
    const std::int8_t* codes = panel.codes;
    for (std::int64_t t = 0; t < panel.depth; t += 16, codes += 64 * kVectors) {
      int8x16_t a[kCount];
      QB_UNROLL for (int r = 0; r < kCount; ++r) a[r] = vld1q_s8(first + r * args.a_stride + t);
      multiply_quad<0>(sum, a, codes);
      multiply_quad<1>(sum, a, codes);
      multiply_quad<2>(sum, a, codes);
      multiply_quad<3>(sum, a, codes);
    }
    QB_UNROLL for (int r = 0; r < kCount; ++r) finish_row<kVectors>(args, panel, i + r, sum[r]);
  }
};

}  // namespace

void gemm_s8_q8_dotprod(const GemmArgs& args) { fill_panels<Tile>(args); }

}  // namespace qb
