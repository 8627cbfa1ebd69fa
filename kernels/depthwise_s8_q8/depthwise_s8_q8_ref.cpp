#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"

namespace qb {

namespace {

/// One exact sum. Written to be read beside the formula in the header, not to be fast.
std::int32_t convolve_one(const DepthwiseArgs& args, const std::int8_t* x, const std::int8_t* code, std::int32_t shift,
                          std::int64_t oy, std::int64_t ox) {
  std::int32_t sum = 0;
  for (std::int64_t ky = 0; ky < args.kernel[0]; ++ky) {
    for (std::int64_t kx = 0; kx < args.kernel[1]; ++kx) {
      const std::int64_t iy = oy * args.stride[0] - args.pad[0] + ky * args.dilation[0];
      const std::int64_t ix = ox * args.stride[1] - args.pad[1] + kx * args.dilation[1];
      const bool inside = iy >= 0 && iy < args.in[0] && ix >= 0 && ix < args.in[1];
      if (inside) sum += (x[iy * args.in[1] + ix] - args.x_zero) * (code[ky * args.kernel[1] + kx] - shift);
    }
  }
  return sum;
}

}  // namespace

/// The definition.
void depthwise_s8_q8_ref(const DepthwiseArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const DepthwiseS8Q8*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scale);
  const auto* shift = reinterpret_cast<const std::int32_t*>(base + at->shift);
  const auto* codes = reinterpret_cast<const std::int8_t*>(base + at->codes);
  const std::int64_t first_plane = args.channel_begin / args.multiplier, area = args.kernel[0] * args.kernel[1];
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    const auto* x = static_cast<const std::int8_t*>(args.x) + (c / args.multiplier - first_plane) * args.x_stride;
    float* y = args.y + c * args.out[0] * args.out[1];
    for (std::int64_t oy = 0; oy < args.out[0]; ++oy)
      for (std::int64_t ox = 0; ox < args.out[1]; ++ox) {
        const std::int32_t sum = convolve_one(args, x, codes + c * area, shift[c], oy, ox);
        y[oy * args.out[1] + ox] = float(sum) * (args.x_scale * scale[c]) + (args.bias ? args.bias[c] : 0.0f);
      }
  }
}

}  // namespace qb
