#include "kernels/gemm_s8_int/rows_arm.h"

namespace qb {

namespace {

/// Two rows by two columns, eight products each, per instruction (smmla).
struct Unit {
  static constexpr int kRows = 2;

  /// Two quads of four columns become eight codes along k of columns 0 and 1, and of columns 2 and 3.
  template <int kVectors>
  QB_INLINE static void arrange(ByteChunk<kVectors>& chunk) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) QB_UNROLL for (int q = 0; q < kQuads; q += 2) {
      const int32x4_t even = vreinterpretq_s32_s8(chunk.bytes[v][q]), odd = vreinterpretq_s32_s8(chunk.bytes[v][q + 1]);
      chunk.bytes[v][q] = vreinterpretq_s8_s32(vzip1q_s32(even, odd));
      chunk.bytes[v][q + 1] = vreinterpretq_s8_s32(vzip2q_s32(even, odd));
    }
  }

  template <int kLargest, int kBegin, int kEnd, int kVectors>
  QB_INLINE static void dot(const ByteChunk<kVectors>& chunk, const std::int8_t* const (&a)[2],
                            int32x4_t (&dots)[2][kVectors]) {
    int32x4_t pairs[kVectors][2];  // [columns 0 and 1, or 2 and 3], each [row][column]
    QB_UNROLL for (int v = 0; v < kVectors; ++v) pairs[v][0] = pairs[v][1] = vdupq_n_s32(0);
    QB_UNROLL for (int q = kBegin; q < kEnd; q += 2) {
      const int8x16_t rows = vcombine_s8(vld1_s8(a[0] + 4 * q), vld1_s8(a[1] + 4 * q));
      QB_UNROLL for (int v = 0; v < kVectors; ++v) {
        pairs[v][0] = vmmlaq_s32(pairs[v][0], rows, chunk.bytes[v][q]);
        pairs[v][1] = vmmlaq_s32(pairs[v][1], rows, chunk.bytes[v][q + 1]);
      }
    }
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const int64x2_t early = vreinterpretq_s64_s32(pairs[v][0]), late = vreinterpretq_s64_s32(pairs[v][1]);
      dots[0][v] = vreinterpretq_s32_s64(vzip1q_s64(early, late));
      dots[1][v] = vreinterpretq_s32_s64(vzip2q_s64(early, late));
    }
  }
};

}  // namespace

void gemm_s8_int_i8mm(const GemmArgs& args) { multiply<Unit>(args); }

}  // namespace qb
