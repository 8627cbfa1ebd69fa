#include "kernels/convolution/code_window_steps_neon.h"

namespace qb {

namespace {

/// A line holds four channels' codes, which sdot adds into int32.
struct QuadStep : CodeSumsNeon {
  using Pixel = std::int8_t;
  using Weights = int8x16_t;
  static constexpr int kColumnBytes = 4, kChannels = 4;

  template <int kPart>
  static QB_INLINE int8x16_t weights(const unsigned char* line) {
    return vreinterpretq_s8_u8(vld1q_u8(line));
  }
  static QB_INLINE int8x16_t operand(const std::int8_t* pixel) {
    std::int32_t four;
    __builtin_memcpy(&four, pixel, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  static QB_INLINE void add(int32x4_t& sum, int8x16_t operand, int8x16_t weights) {
    sum = vdotq_s32(sum, weights, operand);
  }
};

}  // namespace

void window_products_dotprod(const WindowProductsArgs& args) { fill_code_panels<QuadStep>(args); }

}  // namespace qb
