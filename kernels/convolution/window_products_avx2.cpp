// Multiplies pairs of int16 with vpmaddwd: vpmaddubsw would saturate at two products of 255 and 127.
#include "kernels/convolution/code_window_steps_avx2.h"

namespace qb {

namespace {

/// A line holds two channels' codes, which are widened; pixels are wide.
struct WideStep : CodeSums256 {
  using Pixel = std::int16_t;
  static constexpr int kColumnBytes = 2, kChannels = 2;

  template <int kPart>
  static QB_INLINE __m256i weights(const unsigned char* line) {
    return _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(line)));
  }
  static QB_INLINE __m256i operand(const std::int16_t* pixel) {
    std::int32_t two;
    __builtin_memcpy(&two, pixel, 4);
    return _mm256_set1_epi32(two);
  }
  /// Assembly, for gcc 12 shuffles the sums of a full tile between registers and stack.
  static QB_INLINE void add(__m256i& sum, __m256i operand, __m256i weights) {
    __m256i pairs;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(pairs) : "x"(operand), "x"(weights));
  }
};

}  // namespace

void window_products_avx2(const WindowProductsArgs& args) { fill_code_panels<WideStep>(args); }

}  // namespace qb
