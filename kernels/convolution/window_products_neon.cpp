#include "kernels/convolution/code_window_steps_neon.h"

namespace qb {

namespace {

/// A line holds two channels' codes. Products become int16 (at most 2^14), pairs of them are added into int32.
struct PairStep : CodeSumsNeon {
  using Pixel = std::int8_t;
  using Weights = int8x8_t;
  static constexpr int kColumnBytes = 2, kChannels = 2;

  template <int kPart>
  static QB_INLINE int8x8_t weights(const unsigned char* line) {
    return vreinterpret_s8_u8(vld1_u8(line));
  }
  static QB_INLINE int8x8_t operand(const std::int8_t* pixel) {
    std::int16_t two;
    __builtin_memcpy(&two, pixel, 2);
    return vreinterpret_s8_s16(vdup_n_s16(two));
  }
  static QB_INLINE void add(int32x4_t& sum, int8x8_t operand, int8x8_t weights) {
    sum = vpadalq_s16(sum, vmull_s8(weights, operand));
  }
};

}  // namespace

void window_products_neon(const WindowProductsArgs& args) { fill_code_panels<PairStep>(args); }

}  // namespace qb
