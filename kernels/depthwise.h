// Depthwise convolution: every channel of the input has kernels of its own. Float activations in, float results out,
// quantization included.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/gemm.h"

namespace qb {

/// y = x convolved with w, plus bias. Index 0 of a pair is the height, 1 the width; the result of channel c at (oy, ox)
/// sees plane c / multiplier of the input at (oy * stride - pad + ky * dilation, ...); what lies outside is real zero.
///
/// Errors   none: promises are checked with QB_EXPECTS (extents and multiplier >= 1, pads >= 0, w.n the channels of the
///          result, w.k the kernel's area). Values that are not finite give unspecified results, never a crash.
/// Threads  up to `threads`, split by samples and channels: the same bits at every thread count.
struct DepthwiseCall {
  std::int64_t batch = 0, channels = 0, multiplier = 1;  ///< channels of the input; results have channels * multiplier
  std::int64_t in[2] = {1, 1}, out[2] = {1, 1}, kernel[2] = {1, 1};
  std::int64_t stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0};  ///< padding before the first row and column
  const float* x = nullptr;                                                ///< [batch, channels, in[0], in[1]]
  RowScaling scaling;                                                      ///< none for float kernels, fixed for int8
  const float* sample_scale = nullptr;  ///< [batch] in place of scaling.scale; null: the same for all
  const float* bias = nullptr;          ///< [channels * multiplier], or null for zeros
  float* y = nullptr;                   ///< [batch, channels * multiplier, out[0], out[1]], overwritten
  int threads = 1;
};

/// Reused between calls so that a timed call allocates nothing once warm.
struct DepthwiseScratch {
  struct Worker {
    std::vector<std::int8_t> codes;  ///< a few planes
    std::vector<float> plane;
  };
  std::vector<Worker> workers;
  std::int64_t bytes() const;
};

/// `w` must have been prepared for a kernel of Operation::depthwise.
void depthwise(const PreparedMatrix& w, const DepthwiseCall& call, DepthwiseScratch& scratch);

}  // namespace qb
