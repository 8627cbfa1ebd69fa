#include "kernels/depthwise_f32_f32/depthwise_f32_f32.h"

#include <cmath>

namespace qb {

namespace {

/// One element of the result. Written to be read beside the formula in the header, not to be fast.
float convolve_one(const DepthwiseArgs& args, const float* x, const float* w, std::int64_t oy, std::int64_t ox) {
  float sum = 0.0f;
  for (std::int64_t ky = 0; ky < args.kernel[0]; ++ky) {
    for (std::int64_t kx = 0; kx < args.kernel[1]; ++kx) {
      const std::int64_t iy = oy * args.stride[0] - args.pad[0] + ky * args.dilation[0];
      const std::int64_t ix = ox * args.stride[1] - args.pad[1] + kx * args.dilation[1];
      const bool inside = iy >= 0 && iy < args.in[0] && ix >= 0 && ix < args.in[1];
      if (inside) sum = std::fma(x[iy * args.in[1] + ix], w[ky * args.kernel[1] + kx], sum);
    }
  }
  return sum;
}

}  // namespace

/// The definition.
void depthwise_f32_f32_ref(const DepthwiseArgs& args) {
  const std::int64_t first_plane = args.channel_begin / args.multiplier;
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    const float* x = static_cast<const float*>(args.x) + (c / args.multiplier - first_plane) * args.x_stride;
    const float* w = static_cast<const float*>(args.w) + c * args.kernel[0] * args.kernel[1];
    float* y = args.y + c * args.out[0] * args.out[1];
    for (std::int64_t oy = 0; oy < args.out[0]; ++oy)
      for (std::int64_t ox = 0; ox < args.out[1]; ++ox)
        y[oy * args.out[1] + ox] = convolve_one(args, x, w, oy, ox) + (args.bias ? args.bias[c] : 0.0f);
  }
}

}  // namespace qb
