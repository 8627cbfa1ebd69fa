#include "kernels/convolution/window.h"

#include <algorithm>

namespace qb {

bool Window::is_pointwise() const {
  const auto plain = [this](std::size_t axis) {
    return kernel[axis] == 1 && stride[axis] == 1 && begin[axis] == 0 && end[axis] == 0;
  };
  return plain(0) && plain(1);
}

std::int64_t seen_extent(const Window& window, std::size_t axis) {
  return (window.out[axis] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
}

Reach reach(const Window& window, std::size_t axis, std::int64_t k) {
  const std::int64_t offset = k * window.dilation[axis] - window.begin[axis], stride = window.stride[axis];
  Reach result;
  result.first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  result.last = offset >= window.in[axis] ? 0 : (window.in[axis] - 1 - offset) / stride + 1;
  result.last = std::clamp<std::int64_t>(result.last, 0, window.out[axis]);
  result.first = std::min(result.first, result.last);
  return result;
}

}  // namespace qb
