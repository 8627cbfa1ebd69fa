// Other people's convolutions: no rows of the kernel table, whose rows are products, but measured and proven beside
// ours.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/convolution/window.h"

namespace qb {

/// What a convolution by oneDNN reads and writes. Weights are [out_channels, in_channels / groups, height, width].
enum class OnednnConvolutionKind : std::uint8_t {
  f32_planes,   ///< float32 planes to float32 planes, float32 weights
  bf16_planes,  ///< the same with bf16 between, rounded to nearest even; bf16 weights
  u8_planes,    ///< likewise with uint8 codes between: round(x / x_scale), saturated; int8 weights
  u8_pixels,    ///< uint8 codes [N, H, W, C] to float32 [N, H, W, C], int8 weights
};

struct OnednnConvolutionCase {
  OnednnConvolutionKind kind = OnednnConvolutionKind::f32_planes;
  ConvShape shape;                ///< no dilation; groups 1 or depthwise
  const void* weights = nullptr;  ///< float32, bf16 or int8; not needed later
  float x_scale = 1.0f;           ///< a power of two, so that oneDNN's multiplication by its inverse is exact
  std::vector<float> w_scale;     ///< [out_channels], of integer weights
  int threads = 1;
};

/// y = x convolved with the weights; results of integers are float(sum) * (x_scale * w_scale[j]).
using PeerConvolution = std::function<void(const void* x, float* y)>;

bool has_onednn();  ///< whether it was compiled in

/// oneDNN's convolution in the layouts that it asks for; turning x and y from and to those counts as its time. Only
/// where has_onednn(), else empty. Throws Unsupported when the library cannot be loaded or refuses the case.
///
/// Threads  as asked, inside of oneDNN; to be called by the thread that made it.
PeerConvolution onednn_convolution(const OnednnConvolutionCase& wanted);

}  // namespace qb
