// Four bits along k of 32 columns at a time: the four of the activation choose a table of 16 counts, those of the
// columns index it with vpshufb. So a lookup and an addition take the place of xor and popcount, which AVX2 lacks.
#include <immintrin.h>

#include "kernels/gemm_binary_binary/sign_tiles.h"

namespace qb {

namespace {

constexpr std::int64_t kByteSpan = 31;            // bytes along k that counts of 8 bits hold: 31 * 8 = 248
constexpr std::int64_t kStrip = 264 * kByteSpan;  // and counts of 16 bits: 8184 * 8 = 65472

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

/// Counts of the group at hand, in two widths.
template <int kRows, int kVectors>
struct Counts {
  alignas(32) std::uint16_t wide[kRows][kVectors][2][16];  ///< [..][0]: columns 0..7 and 16..23, [..][1]: the others
  alignas(32) std::int32_t count[kRows][kVectors][32];
};

/// Counts `bytes` (at most kByteSpan) along k from byte `begin` on, and adds them to the counts of 16 bits.
template <int kRows, int kVectors>
QB_INLINE void count_span(SignTile<kRows, kVectors, 32>& tile, std::int64_t begin, std::int64_t bytes,
                          Counts<kRows, kVectors>& counts) {
  const __m256i low_half = _mm256_set1_epi8(0x0f);
  __m256i count[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) count[r][v] =
      _mm256_setzero_si256();
  for (std::int64_t b = begin; b < begin + bytes; ++b, tile.stream += 32 * kVectors) {
    const auto* line = reinterpret_cast<const __m256i*>(tile.stream);
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
    auto* wide = reinterpret_cast<__m256i*>(counts.wide[r][v]);
    const __m256i zero = _mm256_setzero_si256();
    wide[0] = _mm256_add_epi16(wide[0], _mm256_unpacklo_epi8(count[r][v], zero));
    wide[1] = _mm256_add_epi16(wide[1], _mm256_unpackhi_epi8(count[r][v], zero));
  }
}

/// Moves the counts of 16 bits into those of 32, or at the end of the group of `length` weights into the sums.
template <int kRows, int kVectors>
QB_INLINE void finish_strip(SignTile<kRows, kVectors, 32>& tile, Counts<kRows, kVectors>& counts, std::int64_t length,
                            bool first, bool last) {
  const __m256i all = _mm256_set1_epi32(int(length));
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v)
      for (int eight = 0; eight < 4; ++eight) {
        const auto* wide = reinterpret_cast<const __m128i*>(counts.wide[r][v][eight % 2]) + eight / 2;
        __m256i count = _mm256_cvtepu16_epi32(_mm_load_si128(wide));
        auto* before = reinterpret_cast<__m256i*>(counts.count[r][v] + 8 * eight);
        if (!first) count = _mm256_add_epi32(count, _mm256_load_si256(before));
        if (!last) {
          _mm256_store_si256(before, count);
          continue;
        }
        const __m256i dot = _mm256_sub_epi32(all, _mm256_add_epi32(count, count));
        float* sum = tile.sum[r][v] + 8 * eight;
        const __m256 scale = _mm256_load_ps(reinterpret_cast<const float*>(tile.stream) + 32 * v + 8 * eight);
        _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, _mm256_load_ps(sum)));
      }
}

/// One byte along k of 32 columns at a time.
struct TableCounts {
  static constexpr int kColumns = 32, kVectors = 2, kRows = 4;

  template <int kRows, int kVectors>
  static QB_INLINE void add_group(SignTile<kRows, kVectors, kColumns>& tile, std::int64_t begin, std::int64_t end,
                                  std::int64_t length) {
    Counts<kRows, kVectors> counts;
    for (std::int64_t strip = begin; strip < end; strip += kStrip) {
      const std::int64_t strip_end = strip + kStrip < end ? strip + kStrip : end;
      __builtin_memset(counts.wide, 0, sizeof counts.wide);
      for (std::int64_t b = strip; b < strip_end; b += kByteSpan)
        count_span(tile, b, strip_end - b < kByteSpan ? strip_end - b : kByteSpan, counts);
      finish_strip(tile, counts, length, strip == begin, strip_end == end);
    }
    tile.stream += 4 * kColumns * kVectors;
  }

  static QB_INLINE void store(float* y, const float* sum, float a_scale, std::int64_t columns) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (std::int64_t c = 0; c < kColumns && c < columns; c += 8) {
      const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(columns - c < 8 ? columns - c : 8)), lanes);
      _mm256_maskstore_ps(y + c, mask, _mm256_mul_ps(_mm256_set1_ps(a_scale), _mm256_load_ps(sum + c)));
    }
  }
};

}  // namespace

void gemm_binary_binary_avx2(const GemmArgs& args) { fill_columns<TableCounts>(args); }

}  // namespace qb
