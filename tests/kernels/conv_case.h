// Shapes of convolutions chosen to hurt.
#pragma once
#include "kernels/convolution/window.h"

namespace qb {

/// `given` without its results' extents, which follow.
inline ConvShape conv_shape(std::int64_t batch, std::int64_t channels, std::int64_t results, std::int64_t groups,
                            const Window& given) {
  ConvShape shape{.window = given, .batch = batch, .in_channels = channels, .out_channels = results, .groups = groups};
  for (std::size_t axis = 0; axis < Window::kAxes; ++axis) {
    Window& window = shape.window;
    const std::int64_t extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    window.out[axis] = (window.in[axis] + window.begin[axis] + window.end[axis] - extent) / window.stride[axis] + 1;
  }
  return shape;
}

}  // namespace qb
