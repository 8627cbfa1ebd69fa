#include "kernels/gemm_s8_int/rows_arm.h"

namespace qb {

namespace {

/// Four products of signed bytes at a time are added into int32 (sdot).
struct Unit {
  static constexpr int kRows = 1;

  template <int kVectors>
  QB_INLINE static void arrange(ByteChunk<kVectors>&) {}

  template <int kQuad, int kVectors>
  QB_INLINE static void add_quad(const ByteChunk<kVectors>& chunk, int8x16_t a, int32x4_t (&dots)[kVectors]) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[v] =
        vdotq_laneq_s32(dots[v], chunk.bytes[v][kQuad], a, kQuad % 4);
  }

  template <int kLargest, int kBegin, int kEnd, int kVectors>
  QB_INLINE static void dot(const ByteChunk<kVectors>& chunk, const std::int8_t* const (&a)[1],
                            int32x4_t (&dots)[1][kVectors]) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[0][v] = vdupq_n_s32(0);
    if constexpr (kBegin == 0) {
      const int8x16_t early = vld1q_s8(a[0]);
      add_quad<0>(chunk, early, dots[0]);
      add_quad<1>(chunk, early, dots[0]);
      add_quad<2>(chunk, early, dots[0]);
      add_quad<3>(chunk, early, dots[0]);
    }
    if constexpr (kEnd == kQuads) {
      const int8x16_t late = vld1q_s8(a[0] + 16);
      add_quad<4>(chunk, late, dots[0]);
      add_quad<5>(chunk, late, dots[0]);
      add_quad<6>(chunk, late, dots[0]);
      add_quad<7>(chunk, late, dots[0]);
    }
  }
};

}  // namespace

void gemm_s8_int_dotprod(const GemmArgs& args) { multiply<Unit>(args); }

}  // namespace qb
