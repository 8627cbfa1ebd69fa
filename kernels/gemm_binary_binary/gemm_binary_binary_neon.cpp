// Four bytes along k of four columns at a time: cnt counts in each byte, bytes are added as long as they hold the sum.
#include "kernels/columns_neon.h"
#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 16;
constexpr std::int64_t kSpan = 4 * 31;  // bytes along k that counts of 8 bits hold: 31 * 8 = 248

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// A tile of rows and columns.
template <int kRows, int kVectors>
struct Tile {
  const std::uint8_t* a;  ///< the tile's first row
  std::int64_t a_stride;  ///< bytes
  const std::uint8_t* codes;
  std::uint32_t count[kRows][kVectors][4];  ///< differing signs of the group at hand
  float sum[kRows][kVectors][4];            ///< of the groups that are done
};

/// Counts bytes [begin, end) along k, a multiple of 4 and at most kSpan of them.
template <int kRows, int kVectors>
QB_INLINE void count_span(Tile<kRows, kVectors>& tile, std::int64_t begin, std::int64_t end) {
  uint8x16_t count[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] = vdupq_n_u8(0);
  for (std::int64_t b = begin; b < end; b += 4, tile.codes += 16 * kVectors) {
    uint8x16_t codes[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) codes[v] = vld1q_u8(tile.codes + 16 * v);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      std::uint32_t four;
      __builtin_memcpy(&four, tile.a + r * tile.a_stride + b, 4);
      const uint8x16_t a = vreinterpretq_u8_u32(vdupq_n_u32(four));
      QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] = vaddq_u8(count[r][v], vcntq_u8(veorq_u8(a, codes[v])));
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    std::uint32_t* before = tile.count[r][v];
    vst1q_u32(before, vpadalq_u16(vld1q_u32(before), vpaddlq_u8(count[r][v])));
  }
}

/// Counts of a group of `length` signs become sums of products, times the scales behind the group's codes.
template <int kRows, int kVectors>
QB_INLINE void finish_group(Tile<kRows, kVectors>& tile, std::int64_t length) {
  for (int v = 0; v < kVectors; ++v, tile.codes += 16) {
    const float32x4_t scale = vreinterpretq_f32_u8(vld1q_u8(tile.codes));
    for (int r = 0; r < kRows; ++r) {
      const int32x4_t count = vreinterpretq_s32_u32(vld1q_u32(tile.count[r][v]));
      const int32x4_t dot = vsubq_s32(vdupq_n_s32(std::int32_t(length)), vshlq_n_s32(count, 1));
      vst1q_f32(tile.sum[r][v], vfmaq_f32(vld1q_f32(tile.sum[r][v]), vcvtq_f32_s32(dot), scale));
    }
  }
}

template <int kRows, int kVectors>
[[gnu::noinline]] void fill_tile(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  const auto* at = static_cast<const BinaryBinary*>(args.w);
  const std::int64_t row_bytes = (args.k + 63) / 64 * 8, group_bytes = at->group / 8;
  Tile<kRows, kVectors> tile;
  tile.a_stride = 8 * args.a_stride;
  tile.a = static_cast<const std::uint8_t*>(args.a) + i * tile.a_stride;
  tile.codes = static_cast<const std::uint8_t*>(args.w) + at->codes + column * (row_bytes + 4 * at->groups);
  __builtin_memset(tile.sum, 0, sizeof tile.sum);
  for (std::int64_t g = 0; g < at->groups; ++g) {
    const std::int64_t first = g * group_bytes;
    const std::int64_t end = first + group_bytes < row_bytes ? first + group_bytes : row_bytes;
    __builtin_memset(tile.count, 0, sizeof tile.count);
    for (std::int64_t b = first; b < end; b += kSpan) count_span(tile, b, end - b < kSpan ? end : b + kSpan);
    finish_group(tile, args.k - 8 * first < at->group ? args.k - 8 * first : at->group);
  }
  for (int r = 0; r < kRows; ++r) {
    float* y = args.y + (i + r) * args.y_stride + column;
    for (int v = 0; v < kVectors; ++v)
      store_columns(y + 4 * v, vmulq_n_f32(vld1q_f32(tile.sum[r][v]), args.a_scale[i + r]),
                    args.n_end - column - 4 * v);
  }
}

/// The tile with as many rows as there are, at most kRows.
template <int kRows, int kVectors>
void fill_some_rows(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  if (args.m - i >= kRows) return fill_tile<kRows, kVectors>(args, column, i);
  if constexpr (kRows > 1) fill_some_rows<kRows - 1, kVectors>(args, column, i);
}

template <int kRows, int kVectors>
void fill_panel(const GemmArgs& args, std::int64_t column) {
  for (std::int64_t i = 0; i < args.m; i += kRows) fill_some_rows<kRows, kVectors>(args, column, i);
}

}  // namespace

void gemm_binary_binary_neon(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    switch ((args.n_end - column + 3) / 4) {
      case 1: fill_panel<4, 1>(args, column); break;
      case 2: fill_panel<4, 2>(args, column); break;
      case 3: fill_panel<4, 3>(args, column); break;
      default: fill_panel<4, 4>(args, column); break;
    }
  }
}

}  // namespace qb
