#include "kernels/convolution/patches.h"

#include <algorithm>
#include <cstring>

namespace qb {

namespace {

constexpr std::int64_t kRun = 4;  // elements of one copy

/// `count` rows get `runs` runs of four elements each.
template <int runs, class T>
void copy_runs(const T* from, std::int64_t from_step, T* to, std::int64_t to_step, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i, from += from_step, to += to_step)
    std::memcpy(to, from, runs * kRun * sizeof(T));
}

template <class T>
void copy_rows(const T* from, std::int64_t from_step, T* to, std::int64_t to_step, std::int64_t count,
               std::int64_t width) {
  if (width <= kRun) return copy_runs<1>(from, from_step, to, to_step, count);
  if (width <= 2 * kRun) return copy_runs<2>(from, from_step, to, to_step, count);
  for (std::int64_t i = 0; i < count; ++i, from += from_step, to += to_step)
    std::memcpy(to, from, std::size_t(width) * sizeof(T));
}

/// Result positions [begin, end) of one result row, one kernel row of one channel; `row` is null above and below the
/// input.
template <class T>
void copy_kernel_row(const Window& window, const T* row, std::int64_t begin, std::int64_t end, T outside, T* to,
                     std::int64_t stride) {
  const std::int64_t width = window.kernel[1];
  const auto column_of = [&](std::int64_t ox) { return ox * window.stride[1] - window.begin[1]; };
  const auto copy_one = [&](std::int64_t ox) {
    T* target = to + (ox - begin) * stride;
    for (std::int64_t kx = 0; kx < width; ++kx) {
      const std::int64_t at = column_of(ox) + kx * window.dilation[1];
      target[kx] = row && at >= 0 && at < window.in[1] ? row[at] : outside;
    }
  };
  // Windows that lie inside the input as a whole and are dense are copied in runs.
  std::int64_t first = end, last = end;
  if (row && window.dilation[1] == 1) {
    first = std::clamp(reach(window, 1, 0).first, begin, end);
    last = std::clamp(reach(window, 1, width - 1).last, first, end);
  }
  for (std::int64_t ox = begin; ox < first; ++ox) copy_one(ox);
  if (last > first)
    copy_rows(row + column_of(first), window.stride[1], to + (first - begin) * stride, stride, last - first, width);
  for (std::int64_t ox = last; ox < end; ++ox) copy_one(ox);
}

template <class T>
void copy_windows(const Window& window, std::int64_t channels, const T* x, std::int64_t begin, std::int64_t end,
                  T outside, T* rows, std::int64_t stride) {
  const std::int64_t plane = window.in[0] * window.in[1];
  for (std::int64_t position = begin; position < end;) {
    const std::int64_t oy = position / window.out[1], ox = position % window.out[1];
    const std::int64_t ox_end = std::min(window.out[1], ox + end - position);
    T* target = rows + (position - begin) * stride;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky, target += window.kernel[1]) {
        const std::int64_t iy = oy * window.stride[0] + ky * window.dilation[0] - window.begin[0];
        const T* row = iy >= 0 && iy < window.in[0] ? x + c * plane + iy * window.in[1] : nullptr;
        copy_kernel_row(window, row, ox, ox_end, outside, target, stride);
      }
    }
    position += ox_end - ox;
  }
}

}  // namespace

std::int64_t patch_stride(std::int64_t k) { return (k + 3 + 15) / 16 * 16; }

void copy_patches(const Window& window, std::int64_t channels, const float* x, std::int64_t begin, std::int64_t end,
                  float* rows, std::int64_t stride) {
  copy_windows(window, channels, x, begin, end, 0.0f, rows, stride);
}

void copy_patches(const Window& window, std::int64_t channels, const std::int8_t* x, std::int64_t begin,
                  std::int64_t end, std::int8_t outside, std::int8_t* rows, std::int64_t stride) {
  copy_windows(window, channels, x, begin, end, outside, rows, stride);
}

}  // namespace qb
