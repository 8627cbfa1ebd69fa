#include "kernels/depthwise_f32_f32/depthwise_f32_f32.h"
#include "kernels/depthwise_f32_f32/float_planes.h"
#include "kernels/depthwise_f32_f32/four_lanes.h"

namespace qb {

void depthwise_f32_f32_neon(const DepthwiseArgs& args) {
  const std::int64_t first_plane = args.channel_begin / args.multiplier, area = args.kernel[0] * args.kernel[1];
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    FloatPlane plane;
    plane.x = static_cast<const float*>(args.x) + (c / args.multiplier - first_plane) * args.x_stride;
    plane.w = static_cast<const float*>(args.w) + c * area;
    plane.bias = args.bias ? args.bias[c] : 0.0f;
    plane.y = args.y + c * args.out[0] * args.out[1];
    convolve_plane<FourLanes, /*kScaled=*/false>(args, plane);
  }
}

}  // namespace qb
