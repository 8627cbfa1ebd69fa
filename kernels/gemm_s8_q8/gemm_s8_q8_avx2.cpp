// Widens bytes to int16 and multiplies pairs with vpmaddwd: vpmaddubsw would saturate at two products of 255 and 127.
#include "kernels/gemm_s8_q8/panels_avx2.h"

namespace qb {

namespace {

/// sum += two products each of int16. Assembly, for gcc 12 shuffles the sums of a full tile between registers and
/// stack.
QB_INLINE void add_dot(__m256i& sum, __m256i a, __m256i b) {
  __m256i pairs;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(pairs) : "x"(a), "x"(b));
}

constexpr std::int64_t kStrip = 256;  // activations of a row that are widened at a time

struct WideTile {
  static constexpr int kRows = 6;
  static constexpr std::int64_t kQuad = 2;

  template <int kRowsHere, int kVectors>
  static void fill(const GemmArgs& args, const Panel& panel, std::int64_t i) {
    const auto* a = static_cast<const std::int8_t*>(args.a) + i * args.a_stride;
    alignas(32) std::int16_t wide[kRowsHere][kStrip];
    __m256i sum[kRowsHere][kVectors];
    QB_UNROLL for (int r = 0; r < kRowsHere; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
        _mm256_setzero_si256();
    const std::uint8_t* codes = panel.codes;
    for (std::int64_t begin = 0; begin < args.k; begin += kStrip) {
      const std::int64_t length = args.k - begin < kStrip ? args.k - begin : kStrip;
      QB_UNROLL for (int r = 0; r < kRowsHere; ++r) for (std::int64_t t = 0; t < length; t += 16) {
        const auto* narrow = reinterpret_cast<const __m128i*>(a + r * args.a_stride + begin + t);
        _mm256_store_si256(reinterpret_cast<__m256i*>(wide[r] + t), _mm256_cvtepi8_epi16(_mm_loadu_si128(narrow)));
      }
      for (std::int64_t t = 0; t < length; t += kQuad, codes += 16 * kVectors) {
        __m256i column[kVectors];
        QB_UNROLL for (int v = 0; v < kVectors; ++v) column[v] =
            _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(codes + 16 * v)));
        QB_UNROLL for (int r = 0; r < kRowsHere; ++r) {
          std::int32_t two;
          __builtin_memcpy(&two, wide[r] + t, 4);
          const __m256i row = _mm256_set1_epi32(two);
          QB_UNROLL for (int v = 0; v < kVectors; ++v) add_dot(sum[r][v], column[v], row);
        }
      }
    }
    QB_UNROLL for (int r = 0; r < kRowsHere; ++r) finish_row<kVectors>(args, panel, i + r, sum[r]);
  }
};

}  // namespace

void gemm_s8_q8_avx2(const GemmArgs& args) { fill_columns<WideTile>(args); }

}  // namespace qb
