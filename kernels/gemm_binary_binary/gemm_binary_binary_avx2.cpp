// Four bits along k of 32 columns at a time: the four of the activation choose a table of 16 counts, those of the
// columns index it with vpshufb. So a lookup and an addition take the place of xor and popcount, which AVX2 lacks.
#include <immintrin.h>

#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 64;
constexpr std::int64_t kByteSpan = 31;            // bytes along k that counts of 8 bits hold: 31 * 8 = 248
constexpr std::int64_t kStrip = 264 * kByteSpan;  // and counts of 16 bits: 8184 * 8 = 65472

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// [x][y]: bits in which x and y differ.
struct Differing {
  alignas(16) std::uint8_t count[16][16];
};
constexpr Differing make_differing() {
  Differing made{};
  for (int x = 0; x < 16; ++x)
    for (int y = 0; y < 16; ++y)
      for (int bits = x ^ y; bits != 0; bits >>= 1) made.count[x][y] = std::uint8_t(made.count[x][y] + (bits & 1));
  return made;
}
constexpr Differing kDiffering = make_differing();

/// The table of four bits of an activation; `offset` is 16 times them.
QB_INLINE __m256i table_at(unsigned offset) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kDiffering.count[0] + offset)));
}

/// A tile of rows and columns. Counts are those of the group at hand, in three widths.
template <int kRows, int kVectors>
struct Tile {
  const std::uint8_t* a;  ///< the tile's first row
  std::int64_t a_stride;  ///< bytes
  const std::uint8_t* codes;
  std::int64_t length;                                     ///< of the group, in bits
  const float* scale;                                      ///< of the group, [32 * kVectors]
  alignas(32) std::uint16_t wide[kRows][kVectors][2][16];  ///< [..][0]: columns 0..7 and 16..23, [..][1]: the others
  alignas(32) std::int32_t count[kRows][kVectors][32];
  alignas(32) float sum[kRows][kVectors][32];
};

/// Counts `bytes` (at most kByteSpan) along k from byte `begin` on, and adds them to the counts of 16 bits.
template <int kRows, int kVectors>
QB_INLINE void count_span(Tile<kRows, kVectors>& tile, std::int64_t begin, std::int64_t bytes) {
  const __m256i low_half = _mm256_set1_epi8(0x0f);
  __m256i count[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] =
      _mm256_setzero_si256();
  for (std::int64_t b = begin; b < begin + bytes; ++b, tile.codes += 32 * kVectors) {
    const auto* line = reinterpret_cast<const __m256i*>(tile.codes);
    QB_UNROLL for (int half = 0; half < 2; ++half) {
      __m256i codes[kVectors];
      QB_UNROLL for (int v = 0; v < kVectors; ++v) {
        const __m256i both = _mm256_load_si256(line + v);
        codes[v] = _mm256_and_si256(half == 0 ? both : _mm256_srli_epi16(both, 4), low_half);
      }
      QB_UNROLL for (int r = 0; r < kRows; ++r) {
        const unsigned bits = tile.a[r * tile.a_stride + b];
        const __m256i table = table_at(half == 0 ? bits << 4 & 0xf0u : bits & 0xf0u);
        QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] =
            _mm256_add_epi8(count[r][v], _mm256_shuffle_epi8(table, codes[v]));
      }
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    auto* wide = reinterpret_cast<__m256i*>(tile.wide[r][v]);
    const __m256i zero = _mm256_setzero_si256();
    wide[0] = _mm256_add_epi16(wide[0], _mm256_unpacklo_epi8(count[r][v], zero));
    wide[1] = _mm256_add_epi16(wide[1], _mm256_unpackhi_epi8(count[r][v], zero));
  }
}

/// Moves the counts of 16 bits into those of 32, or at the end of the group into the sums.
template <int kRows, int kVectors>
void finish_strip(Tile<kRows, kVectors>& tile, bool first, bool last) {
  const __m256i length = _mm256_set1_epi32(int(tile.length));
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v)
      for (int eight = 0; eight < 4; ++eight) {
        const auto* wide = reinterpret_cast<const __m128i*>(tile.wide[r][v][eight % 2]) + eight / 2;
        __m256i count = _mm256_cvtepu16_epi32(_mm_load_si128(wide));
        auto* before = reinterpret_cast<__m256i*>(tile.count[r][v] + 8 * eight);
        if (!first) count = _mm256_add_epi32(count, _mm256_load_si256(before));
        if (!last) {
          _mm256_store_si256(before, count);
          continue;
        }
        const __m256i dot = _mm256_sub_epi32(length, _mm256_add_epi32(count, count));
        float* sum = tile.sum[r][v] + 8 * eight;
        const __m256 scale = _mm256_load_ps(tile.scale + 32 * v + 8 * eight);
        _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, _mm256_load_ps(sum)));
      }
}

template <int kRows, int kVectors>
void fill_tile(const GemmArgs& args, std::int64_t column, std::int64_t i) {
  const auto* at = static_cast<const BinaryBinary*>(args.w);
  const std::int64_t row_bytes = (args.k + 63) / 64 * 8;
  Tile<kRows, kVectors> tile;
  tile.a_stride = 8 * args.a_stride;
  tile.a = static_cast<const std::uint8_t*>(args.a) + i * tile.a_stride;
  tile.codes = static_cast<const std::uint8_t*>(args.w) + at->codes + column * (row_bytes + 4 * at->groups);
  __builtin_memset(tile.sum, 0, sizeof tile.sum);
  for (std::int64_t g = 0; g < at->groups; ++g) {
    const std::int64_t group_bytes = at->group / 8, first = g * group_bytes;
    const std::int64_t end = first + group_bytes < row_bytes ? first + group_bytes : row_bytes;
    tile.length = args.k - 8 * first < at->group ? args.k - 8 * first : at->group;
    tile.scale = reinterpret_cast<const float*>(tile.codes + 32 * kVectors * (end - first));
    for (std::int64_t strip = first; strip < end; strip += kStrip) {
      const std::int64_t strip_end = strip + kStrip < end ? strip + kStrip : end;
      __builtin_memset(tile.wide, 0, sizeof tile.wide);
      for (std::int64_t b = strip; b < strip_end; b += kByteSpan)
        count_span(tile, b, strip_end - b < kByteSpan ? strip_end - b : kByteSpan);
      finish_strip(tile, strip == first, strip_end == end);
    }
    tile.codes += 4 * 32 * kVectors;
  }
  for (int r = 0; r < kRows; ++r)
    for (std::int64_t c = 0; c < 32 * kVectors && column + c < args.n_end; c += 8) {
      const auto rest = int(args.n_end - column - c < 8 ? args.n_end - column - c : 8);
      const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(rest), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      const __m256 y = _mm256_mul_ps(_mm256_set1_ps(args.a_scale[i + r]), _mm256_load_ps(tile.sum[r][0] + c));
      _mm256_maskstore_ps(args.y + (i + r) * args.y_stride + column + c, mask, y);
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

void gemm_binary_binary_avx2(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel) {
    if (args.n_end - column > 32)
      fill_panel<4, 2>(args, column);
    else
      fill_panel<4, 1>(args, column);
  }
}

}  // namespace qb
