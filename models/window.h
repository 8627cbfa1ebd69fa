// The windows of convolutions and pools as nodes of a graph give them.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/convolution/window.h"
#include "models/ops.h"

namespace qb {

/// Reads strides, dilations, pads, auto_pad (and ceil_mode) of a node whose input 0 is [N, C, W] or [N, C, H, W].
Window plan_window(const OpSite& site, const std::vector<std::int64_t>& kernel, bool may_round_up);

/// [N, channels, spatial extents of the result].
Shape window_result(const OpSite& site, const Window& window, std::int64_t channels);

/// `kernel` is the spatial shape of the weights, or empty when only the attribute kernel_shape tells it.
ConvShape plan_conv_shape(const OpSite& site, std::int64_t out_channels, std::vector<std::int64_t> kernel);

}  // namespace qb
