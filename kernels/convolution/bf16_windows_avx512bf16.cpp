#include "kernels/convolution/float_window_steps.h"
#include "kernels/convolution/pair_panels.h"
#include "kernels/gemm_f32_f32/vector_avx512.h"

namespace qb {

namespace {

/// A line holds two channels' weights, and an operand both.
struct PairStep : FloatWindowSums<Avx512> {
  using Pixel = std::uint16_t;
  using Weights = __m512i;
  static constexpr int kRegisters = 32, kParts = 1, kChannels = 2;

  template <int kPart>
  static QB_INLINE __m512i weights(const unsigned char* line) {
    return _mm512_loadu_si512(line);
  }
  static QB_INLINE __m512i operand(const std::uint16_t* pixel) {
    std::int32_t two;
    __builtin_memcpy(&two, pixel, 4);
    return _mm512_set1_epi32(two);
  }
  /// Not the intrinsic: gcc 12 then moves sums to the stack.
  static QB_INLINE void add(__m512& sum, __m512i operand, __m512i weights) {
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(operand), "v"(weights));
  }
};

}  // namespace

void bf16_windows_avx512bf16(const FloatWindowsArgs& args) { fill_pair_panels<PairStep, 7, 8>(args); }

}  // namespace qb
