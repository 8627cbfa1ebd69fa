// Four bytes along k of four columns at a time: cnt counts in each byte, bytes are added as long as they hold the sum.
#include "kernels/columns_neon.h"
#include "kernels/gemm_binary_binary/sign_tiles.h"

namespace qb {

namespace {

constexpr std::int64_t kSpan = 4 * 31;  // bytes along k that counts of 8 bits hold: 31 * 8 = 248

/// Counts bytes [begin, end) along k, a multiple of 4 and at most kSpan of them.
template <int kRows, int kVectors>
QB_INLINE void count_span(SignTile<kRows, kVectors, 4>& tile, std::int64_t begin, std::int64_t end,
                          std::uint32_t (&total)[kRows][kVectors][4]) {
  uint8x16_t count[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] = vdupq_n_u8(0);
  for (std::int64_t b = begin; b < end; b += 4, tile.stream += 16 * kVectors) {
    uint8x16_t codes[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) codes[v] = vld1q_u8(tile.stream + 16 * v);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      std::uint32_t four;
      __builtin_memcpy(&four, tile.a + r * tile.a_stride + b, 4);
      const uint8x16_t a = vreinterpretq_u8_u32(vdupq_n_u32(four));
      QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] = vaddq_u8(count[r][v], vcntq_u8(veorq_u8(a, codes[v])));
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    std::uint32_t* before = total[r][v];
    vst1q_u32(before, vpadalq_u16(vld1q_u32(before), vpaddlq_u8(count[r][v])));
  }
}

/// 32 bits along k of four columns at a time.
struct ByteCounts {
  static constexpr int kColumns = 4, kVectors = 4, kRows = 4;

  template <int kRows, int kVectors>
  static QB_INLINE void add_group(SignTile<kRows, kVectors, kColumns>& tile, std::int64_t begin, std::int64_t end,
                                  std::int64_t length) {
    std::uint32_t total[kRows][kVectors][4] = {};
    for (std::int64_t b = begin; b < end; b += kSpan) count_span(tile, b, end - b < kSpan ? end : b + kSpan, total);
    for (int v = 0; v < kVectors; ++v, tile.stream += 16) {
      const float32x4_t scale = vreinterpretq_f32_u8(vld1q_u8(tile.stream));
      for (int r = 0; r < kRows; ++r) {
        const int32x4_t count = vreinterpretq_s32_u32(vld1q_u32(total[r][v]));
        const int32x4_t dot = vsubq_s32(vdupq_n_s32(std::int32_t(length)), vshlq_n_s32(count, 1));
        vst1q_f32(tile.sum[r][v], vfmaq_f32(vld1q_f32(tile.sum[r][v]), vcvtq_f32_s32(dot), scale));
      }
    }
  }

  static QB_INLINE void store(float* y, const float* sum, float a_scale, std::int64_t columns) {
    store_columns(y, vmulq_n_f32(vld1q_f32(sum), a_scale), columns);
  }
};

}  // namespace

void gemm_binary_binary_neon(const GemmArgs& args) { fill_columns<ByteCounts>(args); }

}  // namespace qb
