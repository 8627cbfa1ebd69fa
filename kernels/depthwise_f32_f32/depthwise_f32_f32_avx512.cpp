#include <immintrin.h>

#include "kernels/depthwise_f32_f32/depthwise_f32_f32.h"
#include "kernels/depthwise_f32_f32/float_planes.h"

namespace qb {

namespace {

struct SixteenLanes {
  static constexpr std::int64_t kLanes = 16;
  using Type = __m512;
  using Lanes = __mmask16;

  static QB_INLINE unsigned below(std::int64_t count) {
    return count >= 16 ? 0xffffu : count <= 0 ? 0u : (1u << count) - 1u;
  }
  static QB_INLINE Lanes lanes(std::int64_t low, std::int64_t high) { return Lanes(below(high) & ~below(low)); }
  static QB_INLINE Type load(const float* from, Lanes lanes) { return _mm512_maskz_loadu_ps(lanes, from); }
  static QB_INLINE void store(float* to, Lanes lanes, Type value) { _mm512_mask_storeu_ps(to, lanes, value); }
  static QB_INLINE Type set(float value) { return _mm512_set1_ps(value); }
  static QB_INLINE Type fma(Type a, Type b, Type sum) { return _mm512_fmadd_ps(a, b, sum); }
  static QB_INLINE Type multiply(Type a, Type b) { return _mm512_mul_ps(a, b); }
  static QB_INLINE Type add(Type a, Type b) { return _mm512_add_ps(a, b); }
  static QB_INLINE Type even(Type low, Type high) {
    const __m512i index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(low, index, high);
  }
  static QB_INLINE Type odd(Type low, Type high) {
    const __m512i index = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_permutex2var_ps(low, index, high);
  }
  static QB_INLINE Type shift_in(Type value, float last) {
    return _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(_mm512_set1_ps(last)), _mm512_castps_si512(value), 1));
  }
};

}  // namespace

void depthwise_f32_f32_avx512(const DepthwiseArgs& args) {
  const std::int64_t first_plane = args.channel_begin / args.multiplier, area = args.kernel[0] * args.kernel[1];
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    FloatPlane plane;
    plane.x = static_cast<const float*>(args.x) + (c / args.multiplier - first_plane) * args.x_stride;
    plane.w = static_cast<const float*>(args.w) + c * area;
    plane.bias = args.bias ? args.bias[c] : 0.0f;
    plane.y = args.y + c * args.out[0] * args.out[1];
    convolve_plane<SixteenLanes, /*kScaled=*/false>(args, plane);
  }
}

}  // namespace qb
