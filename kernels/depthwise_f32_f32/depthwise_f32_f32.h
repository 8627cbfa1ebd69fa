// Depthwise convolution of float32 activations with float32 weights. Takes every weight format: what is stored as
// codes is decoded to float32 when it is loaded, a few kilobytes.
//
// Prepared layout: float32 [channels of the result, kernel height * width], rows without gaps.
//
// Source: the operator is ONNX Conv with as many groups as input channels.
#pragma once
#include "kernels/depthwise_args.h"

namespace qb {

/// y[c, oy, ox] = (sum over ky, kx of x[c / multiplier, iy, ix] * w[c, ky, kx]) + bias[c], iy and ix as in
/// DepthwiseArgs
///
/// Shapes     as named in DepthwiseArgs; all extents >= 1, pads >= 0.
/// Numbers    one fused multiply-add per product from 0 on, in rising order of ky, then kx, then one sum with the bias:
///            variants agree bit for bit, but for the sign of a zero.
/// Errors     none: arguments are checked by depthwise() before dispatch.
/// Threads    single-threaded and reentrant; depthwise() splits samples and channels.
void depthwise_f32_f32_ref(const DepthwiseArgs& args);

}  // namespace qb
