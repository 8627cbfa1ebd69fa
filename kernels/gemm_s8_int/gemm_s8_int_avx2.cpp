// Pairs of products in int16 by vpmaddubsw, added there while they certainly fit, then int32. Levels above 127 are cut
// into halves of four bits, whose products are worth 1 and 16.
#include "kernels/gemm_s8_int/panels_avx2.h"

namespace qb {

namespace {

template <int kHighest>
struct PairDot {
  static constexpr int kParts = kHighest > 127 ? 2 : 1;
  static constexpr int kHighestPart = kParts == 2 ? 15 : kHighest;
  /// Quads whose pairs int16 holds: two products of at least -128 * kHighestPart each.
  static constexpr int kRun = 32767 / (2 * 128 * kHighestPart) >= 8   ? 8
                              : 32767 / (2 * 128 * kHighestPart) >= 4 ? 4
                              : 32767 / (2 * 128 * kHighestPart) >= 2 ? 2
                                                                      : 1;

  static QB_INLINE __m256i keep(__m256i level) {
    return kParts == 2 ? _mm256_and_si256(level, _mm256_set1_epi8(0x0f)) : level;
  }
  static QB_INLINE __m256i split(__m256i level) {
    return _mm256_and_si256(_mm256_srli_epi16(level, 4), _mm256_set1_epi8(0x0f));
  }

  template <int kQuads>
  static QB_INLINE __m256i sum(const __m256i (&levels)[kParts][kQuads], const std::int8_t* a) {
    constexpr int kStep = kRun < kQuads ? kRun : kQuads;
    __m256i total = _mm256_setzero_si256();
    QB_UNROLL for (int begin = 0; begin < kQuads; begin += kStep) {
      QB_UNROLL for (int p = 0; p < kParts; ++p) {
        __m256i pairs = _mm256_maddubs_epi16(levels[p][begin], broadcast_four(a + 4 * begin));
        QB_UNROLL for (int q = begin + 1; q < begin + kStep; ++q) pairs =
            _mm256_add_epi16(pairs, _mm256_maddubs_epi16(levels[p][q], broadcast_four(a + 4 * q)));
        total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(p == 0 ? 1 : 16)));
      }
    }
    return total;
  }
};

}  // namespace

void gemm_s8_int_avx2(const GemmArgs& args) { fill_columns_of_any_codes<PairDot>(args); }

}  // namespace qb
