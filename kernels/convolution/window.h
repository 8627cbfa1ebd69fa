// Sliding windows over one or two spatial axes, as convolutions and pools see them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace qb {

/// Axis 0 is the height and axis 1 the width; a network of one spatial axis has height 1.
/// Window (oy, ox) reads input rows oy * stride - begin + ky * dilation for ky < kernel, and columns likewise.
struct Window {
  static constexpr std::size_t kAxes = 2;
  std::int64_t in[kAxes] = {1, 1}, out[kAxes] = {1, 1}, kernel[kAxes] = {1, 1};
  std::int64_t stride[kAxes] = {1, 1}, dilation[kAxes] = {1, 1};
  std::int64_t begin[kAxes] = {0, 0}, end[kAxes] = {0, 0};  ///< padding, >= 0

  std::int64_t area() const { return kernel[0] * kernel[1]; }
  std::int64_t positions() const { return out[0] * out[1]; }
  /// A window of one element at every input element: the input is its own patch matrix, transposed.
  bool is_pointwise() const;
};

/// Elements along an axis that windows see, from the first of the first to the last of the last, padding included.
std::int64_t seen_extent(const Window& window, std::size_t axis);

/// Result positions o in [first, last) whose element k of the window lies inside the input.
struct Reach {
  std::int64_t first = 0, last = 0;
};
Reach reach(const Window& window, std::size_t axis, std::int64_t k);

/// A convolution's extents. k = in_channels / groups * window.area().
struct ConvShape {
  Window window;
  std::int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  std::int64_t k() const { return in_channels / groups * window.area(); }
};

}  // namespace qb
