#include "kernels/gemm_s8_q8/tiles_arm.h"

namespace qb {

namespace {

/// Two rows by two columns, eight products each, per instruction (smmla). A row that has no partner meets itself.
struct Tile {
  static constexpr int kRows = 6;

  /// Row kOdd of a pair's sums, [column pair][row][column].
  template <int kOdd, int kVectors>
  QB_INLINE static void finish(const GemmArgs& args, const ArmPanel& panel, std::int64_t i, const int32x4_t* pairs) {
    int32x4_t sum[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const int64x2_t x = vreinterpretq_s64_s32(pairs[2 * v]), y = vreinterpretq_s64_s32(pairs[2 * v + 1]);
      sum[v] = vreinterpretq_s32_s64(kOdd ? vzip2q_s64(x, y) : vzip1q_s64(x, y));
    }
    finish_row<kVectors>(args, panel, i, sum);
  }

  template <int kCount, int kVectors>
  [[gnu::noinline]] static void fill(const GemmArgs& args, const ArmPanel& panel, std::int64_t i) {
    constexpr int kPairs = (kCount + 1) / 2, kColumnPairs = 2 * kVectors;
    const auto* first = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    int32x4_t sum[kPairs][kColumnPairs];
    QB_UNROLL for (int p = 0; p < kPairs; ++p) QB_UNROLL for (int c = 0; c < kColumnPairs; ++c) sum[p][c] =
        vdupq_n_s32(0);
    const std::int8_t* codes = panel.codes;
    for (std::int64_t t = 0; t < panel.depth; t += 8, codes += 16 * kColumnPairs) {
      int8x16_t a[kPairs];
      QB_UNROLL for (int p = 0; p < kPairs; ++p) {
        const std::int8_t* even = first + 2 * p * args.a_stride + t;
        a[p] = vcombine_s8(vld1_s8(even), vld1_s8(2 * p + 1 < kCount ? even + args.a_stride : even));
      }
      QB_UNROLL for (int c = 0; c < kColumnPairs; ++c) {
        const int8x16_t columns = vld1q_s8(codes + 16 * c);
        QB_UNROLL for (int p = 0; p < kPairs; ++p) sum[p][c] = vmmlaq_s32(sum[p][c], a[p], columns);
        __asm__ volatile("" : : : "memory");  // else gcc 12 loads so many vectors early that sums go to the stack
      }
    }
    QB_UNROLL for (int p = 0; p < kPairs; ++p) {
      finish<0, kVectors>(args, panel, i + 2 * p, sum[p]);
      if (2 * p + 1 < kCount) finish<1, kVectors>(args, panel, i + 2 * p + 1, sum[p]);
    }
  }
};

}  // namespace

void gemm_s8_q8_i8mm(const GemmArgs& args) { fill_panels<Tile>(args); }

}  // namespace qb
