// The loops of depthwise convolution over planes of float32, for any vector. Included by files of one instruction set
// each: everything here is anonymous.
//
// A vector type V gives kLanes, Type, Lanes (which lanes are meant), lanes(low, high) for the lanes [low, high),
// load(from, lanes) with zeros in other lanes, store(to, lanes, value), set(float), fma(a, b, sum), multiply, add,
// even(low, high) and odd(low, high) of two vectors side by side, and shift_in(value, float): lane i + 1 becomes lane
// i.
#pragma once
#include "kernels/depthwise_args.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

/// One channel.
struct FloatPlane {
  const float* x;
  const float* w;   ///< [kernel height, kernel width]
  float scale = 1;  ///< factor of the sums; used where kScaled
  float bias = 0;
  float* y;
};

/// y = sum [* scale] + bias for neighbouring results.
template <class V, bool kScaled>
QB_INLINE void store_results(const FloatPlane& plane, float* y, typename V::Lanes lanes, typename V::Type sum) {
  if constexpr (kScaled) sum = V::multiply(sum, V::set(plane.scale));
  V::store(y, lanes, V::add(sum, V::set(plane.bias)));
}

/// Elements row[column + i * stride] for the lanes i of a vector, 0 outside [0, width).
template <class V>
QB_INLINE typename V::Type load_strided(const float* row, std::int64_t column, std::int64_t stride,
                                        std::int64_t width) {
  if (stride == 1) return V::load(row + column, V::lanes(-column, width - column));
  if (stride == 2) {
    const std::int64_t next = column + V::kLanes;
    return V::even(V::load(row + column, V::lanes(-column, width - column)),
                   V::load(row + next, V::lanes(-next, width - next)));
  }
  float values[V::kLanes];
  for (std::int64_t i = 0; i < V::kLanes; ++i) {
    const std::int64_t at = column + i * stride;
    values[i] = at >= 0 && at < width ? row[at] : 0.0f;
  }
  return V::load(values, V::lanes(0, V::kLanes));
}

/// kVectors vectors of results of row oy from ox on, of any kernel.
template <class V, bool kScaled, int kVectors>
QB_INLINE void fill_span(const DepthwiseArgs& args, const FloatPlane& plane, std::int64_t oy, std::int64_t ox) {
  const std::int64_t width = args.in[1], stride = args.stride[1];
  typename V::Type sum[kVectors];
  QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = V::set(0.0f);
  for (std::int64_t ky = 0; ky < args.kernel[0]; ++ky) {
    const std::int64_t iy = oy * args.stride[0] - args.pad[0] + ky * args.dilation[0];
    if (iy < 0 || iy >= args.in[0]) continue;
    const float* row = plane.x + iy * width;
    for (std::int64_t kx = 0; kx < args.kernel[1]; ++kx) {
      const typename V::Type w = V::set(plane.w[ky * args.kernel[1] + kx]);
      const std::int64_t column = ox * stride - args.pad[1] + kx * args.dilation[1];
      QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
          V::fma(load_strided<V>(row, column + v * V::kLanes * stride, stride, width), w, sum[v]);
    }
  }
  float* y = plane.y + oy * args.out[1] + ox;
  QB_UNROLL for (int v = 0; v < kVectors; ++v)
      store_results<V, kScaled>(plane, y + v * V::kLanes, V::lanes(0, args.out[1] - ox - v * V::kLanes), sum[v]);
}

template <class V, bool kScaled>
void fill_plane(const DepthwiseArgs& args, const FloatPlane& plane) {
  constexpr int kVectors = 4;
  for (std::int64_t oy = 0; oy < args.out[0]; ++oy) {
    std::int64_t ox = 0;
    for (; args.out[1] - ox > 2 * V::kLanes; ox += kVectors * V::kLanes)
      fill_span<V, kScaled, kVectors>(args, plane, oy, ox);
    for (; ox < args.out[1]; ox += V::kLanes) fill_span<V, kScaled, 1>(args, plane, oy, ox);
  }
}

/// Which elements of an input row one column of vectors reads: all its rows have the same.
template <class V, int kStride>
struct Columns {
  std::int64_t first;        ///< input column of tap 0 of lane 0; may lie in the padding
  typename V::Lanes tap[3];  ///< stride 1: lanes whose tap kx lies inside
  bool has_last;             ///< stride 2: whether tap 2 of the last lane lies inside
  typename V::Lanes results;
};

/// Taps kx = 0 .. 2 of the windows of neighbouring results in one input row.
template <class V, int kStride>
QB_INLINE void load_taps(const float* row, const Columns<V, kStride>& columns, typename V::Type* tap) {
  const float* from = row + columns.first;
  if constexpr (kStride == 1) {
    QB_UNROLL for (int kx = 0; kx < 3; ++kx) tap[kx] = V::load(from + kx, columns.tap[kx]);
  } else {
    const typename V::Type low = V::load(from, columns.tap[0]), high = V::load(from + V::kLanes, columns.tap[1]);
    tap[0] = V::even(low, high);
    tap[1] = V::odd(low, high);
    tap[2] = V::shift_in(tap[0], columns.has_last ? from[2 * V::kLanes] : 0.0f);
  }
}

/// kRows rows of results of a kernel of 3 x 3 without dilation: each input row is loaded once for all of them.
template <class V, bool kScaled, int kStride, int kRows>
QB_INLINE void fill_rows_3x3(const DepthwiseArgs& args, const FloatPlane& plane, const Columns<V, kStride>& columns,
                             const typename V::Type* w, std::int64_t oy, std::int64_t ox) {
  const std::int64_t top = oy * kStride - args.pad[0];
  typename V::Type sum[kRows];
  QB_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = V::set(0.0f);
  QB_UNROLL for (int j = 0; j < (kRows - 1) * kStride + 3; ++j) {
    if (top + j < 0 || top + j >= args.in[0]) continue;
    typename V::Type tap[3];
    load_taps<V, kStride>(plane.x + (top + j) * args.in[1], columns, tap);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      const int ky = j - r * kStride;
      if (ky < 0 || ky > 2) continue;
      QB_UNROLL for (int kx = 0; kx < 3; ++kx) sum[r] = V::fma(tap[kx], w[3 * ky + kx], sum[r]);
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r)
      store_results<V, kScaled>(plane, plane.y + (oy + r) * args.out[1] + ox, columns.results, sum[r]);
}

template <class V, bool kScaled, int kStride>
void fill_plane_3x3(const DepthwiseArgs& args, const FloatPlane& plane) {
  typename V::Type w[9];
  QB_UNROLL for (int t = 0; t < 9; ++t) w[t] = V::set(plane.w[t]);
  for (std::int64_t ox = 0; ox < args.out[1]; ox += V::kLanes) {
    Columns<V, kStride> columns;
    columns.first = ox * kStride - args.pad[1];
    const std::int64_t low = -columns.first, high = args.in[1] - columns.first;
    QB_UNROLL for (int i = 0; i < 3; ++i) {
      const std::int64_t offset = kStride == 1 ? i : i * V::kLanes;
      columns.tap[i] = V::lanes(low - offset, high - offset);
    }
    columns.has_last = 2 * V::kLanes >= low && 2 * V::kLanes < high;
    columns.results = V::lanes(0, args.out[1] - ox);
    std::int64_t oy = 0;
    for (; oy + 4 <= args.out[0]; oy += 4) fill_rows_3x3<V, kScaled, kStride, 4>(args, plane, columns, w, oy, ox);
    for (; oy < args.out[0]; ++oy) fill_rows_3x3<V, kScaled, kStride, 1>(args, plane, columns, w, oy, ox);
  }
}

/// One channel of the result.
template <class V, bool kScaled>
QB_INLINE void convolve_plane(const DepthwiseArgs& args, const FloatPlane& plane) {
  const bool small = args.kernel[0] == 3 && args.kernel[1] == 3 && args.dilation[0] == 1 && args.dilation[1] == 1 &&
                     args.stride[0] == args.stride[1];
  if (small && args.stride[1] == 1) return fill_plane_3x3<V, kScaled, 1>(args, plane);
  if (small && args.stride[1] == 2) return fill_plane_3x3<V, kScaled, 2>(args, plane);
  fill_plane<V, kScaled>(args, plane);
}

}  // namespace

}  // namespace qb
