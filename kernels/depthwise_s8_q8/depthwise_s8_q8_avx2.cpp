// Codes less their zeros as float32: sums of integers below 2^24 are exact there, and AVX2 multiplies floats twice as
// fast as it multiplies int16 pairs that must first be brought side by side.
#include "kernels/depthwise_f32_f32/eight_lanes.h"
#include "kernels/depthwise_f32_f32/float_planes.h"
#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"

namespace qb {

namespace {

/// real[t] = codes[t] - zero for t < count rounded up to 8; the scratch and the codes have room for that.
void subtract_zero(const std::int8_t* codes, std::int32_t zero, std::int64_t count, float* real) {
  const __m256i shift = _mm256_set1_epi32(zero);
  for (std::int64_t t = 0; t < count; t += 8) {
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + t));
    _mm256_storeu_ps(real + t, _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepi8_epi32(eight), shift)));
  }
}

}  // namespace

void depthwise_s8_q8_avx2(const DepthwiseArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const DepthwiseS8Q8*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scale);
  const auto* shift = reinterpret_cast<const std::int32_t*>(base + at->shift);
  const auto* codes = reinterpret_cast<const std::int8_t*>(base + at->codes);
  const std::int64_t first_plane = args.channel_begin / args.multiplier, area = args.kernel[0] * args.kernel[1];
  alignas(32) float w[kDepthwiseArea + 8];
  std::int64_t ready = -1;  // the plane that the scratch holds
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    const std::int64_t from = c / args.multiplier - first_plane;
    if (from != ready)
      subtract_zero(static_cast<const std::int8_t*>(args.x) + from * args.x_stride, args.x_zero,
                    args.in[0] * args.in[1], args.scratch);
    ready = from;
    subtract_zero(codes + c * area, shift[c], area, w);
    convolve_plane<EightLanes, /*kScaled=*/true>(
        args, {args.scratch, w, args.x_scale * scale[c], args.bias ? args.bias[c] : 0.0f,
               args.y + c * args.out[0] * args.out[1]});
  }
}

}  // namespace qb
