// Pools over windows and over whole planes.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

#include "kernels/base/parallel.h"
#include "models/ops.h"
#include "models/window.h"

namespace qb {

namespace {

/// Combines each window of one plane: y[o] = f(..f(start, x0).., xn) over the elements inside the input, in row-major
/// order.
template <class F>
void pool_plane(const Window& window, const float* x, float* y, float start, F f) {
  std::fill(y, y + window.positions(), start);
  for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
    const Reach rows = reach(window, 0, ky);
    for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
      const Reach columns = reach(window, 1, kx);
      const std::int64_t count = columns.last - columns.first, stride = window.stride[1];
      for (std::int64_t oy = rows.first; oy < rows.last; ++oy) {
        const std::int64_t row = oy * window.stride[0] + ky * window.dilation[0] - window.begin[0];
        const float* from = x + row * window.in[1] + columns.first * stride + kx * window.dilation[1] - window.begin[1];
        float* to = y + oy * window.out[1] + columns.first;
        if (stride == 1) {
          for (std::int64_t i = 0; i < count; ++i) to[i] = f(to[i], from[i]);
        } else if (stride == 2) {
          for (std::int64_t i = 0; i < count; ++i) to[i] = f(to[i], from[2 * i]);
        } else {
          for (std::int64_t i = 0; i < count; ++i) to[i] = f(to[i], from[stride * i]);
        }
      }
    }
  }
}

/// Runs pool_plane over all planes and then last(plane of results).
template <class F, class Last>
PlannedOp pool(const OpSite& site, const Window& window, float start, F f, Last last) {
  site.expect_dtype(0, DType::f32);
  PlannedOp planned;
  planned.outputs = {{DType::f32, window_result(site, window, site.shape(0)[1])}};
  const std::int64_t planes = site.shape(0)[0] * site.shape(0)[1];
  planned.run = [=](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        float* result = y + plane * window.positions();
        pool_plane(window, x + plane * window.in[0] * window.in[1], result, start, f);
        last(result);
      }
    };
    parallel_for(planes, run.threads, 8, std::cref(part));
  };
  return planned;
}

PlannedOp plan_max_pool(const OpSite& site) {
  const Window window = plan_window(site, site.node->integers_or("kernel_shape", {}), true);
  return pool(
      site, window, -std::numeric_limits<float>::infinity(), [](float a, float b) { return b > a ? b : a; },
      [](float*) {});
}

/// How many elements of window o along an axis count: those inside the input, or inside the padding too.
std::vector<float> counts_along(const Window& window, std::size_t axis, bool with_padding) {
  std::vector<float> counts;
  for (std::int64_t o = 0; o < window.out[axis]; ++o) {
    std::int64_t inside = 0;
    for (std::int64_t k = 0; k < window.kernel[axis]; ++k) {
      const std::int64_t at = o * window.stride[axis] + k * window.dilation[axis] - window.begin[axis];
      const std::int64_t low = with_padding ? -window.begin[axis] : 0;
      const std::int64_t high = window.in[axis] + (with_padding ? window.end[axis] : 0);
      inside += at >= low && at < high;
    }
    counts.push_back(float(inside));
  }
  return counts;
}

PlannedOp plan_average_pool(const OpSite& site) {
  const Window window = plan_window(site, site.node->integers_or("kernel_shape", {}), true);
  const bool with_padding = site.node->integer_or("count_include_pad", 0) != 0;
  std::vector<float> divisors;
  const std::vector<float> columns = counts_along(window, 1, with_padding);
  for (const float rows : counts_along(window, 0, with_padding))
    for (const float count : columns) divisors.push_back(std::max(1.0f, rows * count));
  return pool(
      site, window, 0.0f, [](float a, float b) { return a + b; },
      [divisors](float* y) {
        for (std::size_t i = 0; i < divisors.size(); ++i) y[i] /= divisors[i];
      });
}

/// The sum of `count` floats in eight interleaved partial sums, always in the same order.
float sum_of(const float* x, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += x[i + lane];
  for (; i < count; ++i) lanes[i % kLanes] += x[i];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

template <class F>
PlannedOp pool_globally(const OpSite& site, F f) {
  site.expect_dtype(0, DType::f32);
  site.expect(site.shape(0).size() >= 3, "input 0 must have spatial axes");
  Shape shape = site.shape(0);
  std::int64_t area = 1;
  for (std::size_t i = 2; i < shape.size(); ++i) area *= std::exchange(shape[i], 1);
  site.expect(area >= 1, "input 0 has an empty plane");
  PlannedOp planned;
  planned.outputs = {{DType::f32, shape}};
  const std::int64_t planes = shape[0] * shape[1];
  planned.run = [=](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    for (std::int64_t plane = 0; plane < planes; ++plane) y[plane] = f(x + plane * area, area);
  };
  return planned;
}

PlannedOp plan_global_average_pool(const OpSite& site) {
  return pool_globally(site, [](const float* x, std::int64_t area) { return sum_of(x, area) / float(area); });
}

PlannedOp plan_global_max_pool(const OpSite& site) {
  return pool_globally(site, [](const float* x, std::int64_t area) { return *std::max_element(x, x + area); });
}

constexpr OperatorInfo kTable[] = {
    {"AveragePool", 1, 1, 1, plan_average_pool},
    {"GlobalAveragePool", 1, 1, 1, plan_global_average_pool},
    {"GlobalMaxPool", 1, 1, 1, plan_global_max_pool},
    {"MaxPool", 1, 1, 1, plan_max_pool},
};

}  // namespace

std::span<const OperatorInfo> pool_operators() { return kTable; }

}  // namespace qb
