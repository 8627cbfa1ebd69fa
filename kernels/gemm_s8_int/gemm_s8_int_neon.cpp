#include "kernels/gemm_s8_int/rows_arm.h"

namespace qb {

namespace {

/// Products of bytes are summed in int16 as long as that is exact, then in int32.
struct Unit {
  static constexpr int kRows = 1;

  template <int kVectors>
  QB_INLINE static void arrange(ByteChunk<kVectors>&) {}

  /// Sums of two neighbours along k: [vector][columns 0 and 1, or 2 and 3].
  template <int kVectors>
  struct Pairs {
    int16x8_t narrow[kVectors][2];
    int32x4_t wide[kVectors][2];
  };

  template <int kSafe, int kQuad, int kVectors>
  QB_INLINE static void add_quad(const ByteChunk<kVectors>& chunk, int8x16_t a, Pairs<kVectors>& pairs) {
    const int8x16_t quad = vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(a), kQuad % 4));
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const int8x16_t bytes = chunk.bytes[v][kQuad];
      if constexpr (kQuad % kSafe == 0) {
        pairs.narrow[v][0] = vmull_s8(vget_low_s8(bytes), vget_low_s8(quad));
        pairs.narrow[v][1] = vmull_high_s8(bytes, quad);
      } else {
        pairs.narrow[v][0] = vmlal_s8(pairs.narrow[v][0], vget_low_s8(bytes), vget_low_s8(quad));
        pairs.narrow[v][1] = vmlal_high_s8(pairs.narrow[v][1], bytes, quad);
      }
      if constexpr (kQuad % kSafe == kSafe - 1) {
        pairs.wide[v][0] = vpadalq_s16(pairs.wide[v][0], pairs.narrow[v][0]);
        pairs.wide[v][1] = vpadalq_s16(pairs.wide[v][1], pairs.narrow[v][1]);
      }
    }
  }

  template <int kLargest, int kBegin, int kEnd, int kVectors>
  QB_INLINE static void dot(const ByteChunk<kVectors>& chunk, const std::int8_t* const (&a)[1],
                            int32x4_t (&dots)[1][kVectors]) {
    constexpr int kFits = 32767 / (128 * kLargest);  // products that an int16 holds
    constexpr int kSafe = kFits >= 8 && kEnd - kBegin == 8 ? 8 : kFits >= 4 ? 4 : kFits;
    Pairs<kVectors> pairs;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) pairs.wide[v][0] = pairs.wide[v][1] = vdupq_n_s32(0);
    if constexpr (kBegin == 0) {
      const int8x16_t early = vld1q_s8(a[0]);
      add_quad<kSafe, 0>(chunk, early, pairs);
      add_quad<kSafe, 1>(chunk, early, pairs);
      add_quad<kSafe, 2>(chunk, early, pairs);
      add_quad<kSafe, 3>(chunk, early, pairs);
    }
    if constexpr (kEnd == kQuads) {
      const int8x16_t late = vld1q_s8(a[0] + 16);
      add_quad<kSafe, 4>(chunk, late, pairs);
      add_quad<kSafe, 5>(chunk, late, pairs);
      add_quad<kSafe, 6>(chunk, late, pairs);
      add_quad<kSafe, 7>(chunk, late, pairs);
    }
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[0][v] = vpaddq_s32(pairs.wide[v][0], pairs.wide[v][1]);
  }
};

}  // namespace

void gemm_s8_int_neon(const GemmArgs& args) { multiply<Unit>(args); }

}  // namespace qb
