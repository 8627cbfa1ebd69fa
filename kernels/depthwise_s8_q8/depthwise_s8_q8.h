// Depthwise convolution of 8-bit activations with integer weights of 1 to 8 bits, one scale per channel of the result.
//
// Prepared layout: the struct DepthwiseS8Q8 below, then at the offsets it names scale, shift and weight_sum, [channels]
// each, then the codes, int8 [channels, kernel height * width] without gaps. The real weight is
// (code - shift) * scale: shift is 0 unless code - zero does not fit int8 (8 bits with stored zeros), where it is
// zero - 128 and the code is the stored one less 128.
//
// Source: the operator is ONNX Conv with as many groups as input channels; the treatment of zero points is that of
// Jacob et al. (arXiv:1712.05877), section 2.3.
#pragma once
#include "kernels/depthwise_args.h"

namespace qb {

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct DepthwiseS8Q8 {
  std::int64_t scale;       ///< float32: real value of one step
  std::int64_t shift;       ///< int32
  std::int64_t weight_sum;  ///< int32: sum over the kernel of code - shift
  std::int64_t codes;
};

/// The largest kernel area: below it float32 holds every partial sum exactly, 258 * 255 * 255 < 2^24.
inline constexpr std::int64_t kDepthwiseArea = 258;

/// y[c, oy, ox] = float(sum over ky, kx of (x[c / multiplier, iy, ix] - x_zero) * (code[c, ky, kx] - shift[c]))
///                * (x_scale * scale[c]) + bias[c], iy and ix as in DepthwiseArgs
///
/// Shapes     as named in DepthwiseArgs; all extents >= 1, pads >= 0; kernel height * width at most kDepthwiseArea.
/// Numbers    x in [-128, 127], every value allowed; what lies in the padding is x_zero. The sum is exact; the scales
///            are multiplied first, then the sum, then the bias is added: four roundings in this order, so all variants
///            agree bit for bit (avx2 and neon compute in float32, which is exact up to kDepthwiseArea).
/// Errors     none: arguments are checked by depthwise() before dispatch.
/// Threads    single-threaded and reentrant; depthwise() splits samples and channels.
void depthwise_s8_q8_ref(const DepthwiseArgs& args);

}  // namespace qb
