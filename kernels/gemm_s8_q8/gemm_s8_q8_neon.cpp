#include "kernels/gemm_s8_q8/tiles_arm.h"

namespace qb {

namespace {

/// Products of bytes become int16 (at most 2^14), pairs of them along k are added into int32.
struct Tile {
  static constexpr int kRows = 4;

  template <int kLane, int kCount, int kVectors>
  QB_INLINE static void multiply_pair(int32x4_t (&sum)[kCount][kVectors], const int16x8_t (&a)[kCount],
                                      const std::int8_t* codes) {
    QB_UNROLL for (int v = 0; v < kVectors; v += 2) {
      const int8x16_t column = vld1q_s8(codes + 8 * (kLane * kVectors + v));
      QB_UNROLL for (int r = 0; r < kCount; ++r) {
        const int8x16_t pair = vreinterpretq_s8_s16(vdupq_laneq_s16(a[r], kLane));
        sum[r][v] = vpadalq_s16(sum[r][v], vmull_s8(vget_low_s8(column), vget_low_s8(pair)));
        sum[r][v + 1] = vpadalq_s16(sum[r][v + 1], vmull_high_s8(column, pair));
      }
      __asm__ volatile("" : : : "memory");  // else gcc 12 loads so many vectors early that sums go to the stack
    }
  }

  template <int kCount, int kVectors>
  [[gnu::noinline]] static void fill(const GemmArgs& args, const ArmPanel& panel, std::int64_t i) {
    const auto* first = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    int32x4_t sum[kCount][kVectors];
    QB_UNROLL for (int r = 0; r < kCount; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = vdupq_n_s32(0);
    const std::int8_t* codes = panel.codes;
    for (std::int64_t t = 0; t < panel.depth; t += 16, codes += 64 * kVectors) {
      int16x8_t a[kCount];
      QB_UNROLL for (int r = 0; r < kCount; ++r) a[r] = vreinterpretq_s16_s8(vld1q_s8(first + r * args.a_stride + t));
      multiply_pair<0>(sum, a, codes);
      multiply_pair<1>(sum, a, codes);
      multiply_pair<2>(sum, a, codes);
      multiply_pair<3>(sum, a, codes);
      multiply_pair<4>(sum, a, codes);
      multiply_pair<5>(sum, a, codes);
      multiply_pair<6>(sum, a, codes);
      multiply_pair<7>(sum, a, codes);
    }
    QB_UNROLL for (int r = 0; r < kCount; ++r) finish_row<kVectors>(args, panel, i + r, sum[r]);
  }
};

}  // namespace

void gemm_s8_q8_neon(const GemmArgs& args) { fill_panels<Tile>(args); }

}  // namespace qb
