// Codes less their zeros as float32: sums of integers below 2^24 are exact there. Included by files of one instruction
// set each: everything here is anonymous.
#pragma once
#include "kernels/depthwise_f32_f32/float_planes.h"
#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"

namespace qb {

namespace {

/// All channels that args asks for. V is a vector of float_planes.h that also gives
/// subtract_zero(codes, zero, count, real): real[t] = codes[t] - zero for t < count rounded up to 8; the scratch and
/// the codes have room for that.
template <class V>
QB_INLINE void convolve_channels(const DepthwiseArgs& args) {
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
      V::subtract_zero(static_cast<const std::int8_t*>(args.x) + from * args.x_stride, args.x_zero,
                       args.in[0] * args.in[1], args.scratch);
    ready = from;
    V::subtract_zero(codes + c * area, shift[c], area, w);
    convolve_plane<V, /*kScaled=*/true>(args,
                                        {args.scratch, w, args.x_scale * scale[c], args.bias ? args.bias[c] : 0.0f,
                                         args.y + c * args.out[0] * args.out[1]});
  }
}

}  // namespace

}  // namespace qb
