// Operands of a depthwise convolution, as raw memory. Filled by depthwise(), which checks everything.
//
// Deliberately without member functions: this header is compiled under every instruction-set flag, and an inline
// function here could reach a machine that cannot execute it.
#pragma once
#include <cstdint>

namespace qb {

/// One call of a kernel: channels [channel_begin, channel_end) of the result of one sample. Index 0 of a pair belongs
/// to the height, 1 to the width. Result (oy, ox) sees input (oy * stride[0] - pad[0] + ky * dilation[0], ...) for
/// ky < kernel[0] and likewise for columns; what lies outside [0, in) is real zero.
struct DepthwiseArgs {
  std::int64_t channel_begin, channel_end;
  std::int64_t multiplier;  ///< channels of the result per channel of the input: channel c reads plane c / multiplier
  std::int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
  const void* x;          ///< the plane of channel_begin, float32 or int8 codes; rows of in[1] without gaps
  std::int64_t x_stride;  ///< elements from plane to plane
  float x_scale;          ///< real value of one step; int8 only
  std::int32_t x_zero;    ///< code of real zero; int8 only
  const void* w;          ///< weights in the family's layout, 64-byte aligned, made by its prepare()
  const float* bias;      ///< one per channel of the result, or null for zeros
  float* y;               ///< [channels, out[0], out[1]], from channel 0 on; the range of channels is overwritten
  float* scratch;         ///< room for one plane of the input as float32, rounded up to 16; int8 only
};
using DepthwiseFn = void (*)(const DepthwiseArgs&);

}  // namespace qb
