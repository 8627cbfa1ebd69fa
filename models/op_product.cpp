// Products whose weights are computed by the graph itself: of matrices by kernels/float_product.h, convolutions in
// plain loops. Products with constant weights are layers (executor_layer.h).
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "kernels/base/parallel.h"
#include "kernels/float_product.h"
#include "models/broadcast.h"
#include "models/ops.h"
#include "models/window.h"

namespace qb {

namespace {

/// Products of two computed matrices, with the memory that they work in.
struct ComputedProduct {
  FloatProduct shape;  ///< without operands
  std::shared_ptr<FloatProductScratch> scratch = std::make_shared<FloatProductScratch>();

  /// Calls place(product, p) to set the operands of each.
  template <class Place>
  void run(std::int64_t count, Place place, const OpRun& run) const {
    const auto product = [&](std::int64_t p) {
      FloatProduct own = shape;
      place(own, p);
      return own;
    };
    multiply_floats(count, std::cref(product), run.isa, run.threads, *scratch);
  }
};

/// Offsets of the matrices that each product of a batch reads, in matrices.
struct BatchOffsets {
  std::vector<std::int64_t> a, b;
};

BatchOffsets batch_offsets(const Shape& shape, const Shape& a_outer, const Shape& b_outer) {
  BatchOffsets offsets;
  if (element_count(shape) == 0) return offsets;
  const BroadcastWalk walk = plan_walk(shape, {a_outer, b_outer});
  for_each_outer(walk, [&](std::int64_t, const std::int64_t* offset) {
    for (std::int64_t i = 0; i < walk.inner; ++i) {
      offsets.a.push_back(offset[0] + i * walk.inner_step[0]);
      offsets.b.push_back(offset[1] + i * walk.inner_step[1]);
    }
  });
  return offsets;
}

/// Source: ONNX, MatMul: the rule of numpy.matmul.
PlannedOp plan_matmul(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect_dtype(1, DType::f32);
  Shape a = site.shape(0), b = site.shape(1);
  site.expect(!a.empty() && !b.empty(), "operands must have at least one axis");
  const bool a_is_row = a.size() == 1, b_is_column = b.size() == 1;
  if (a_is_row) a.insert(a.begin(), 1);
  if (b_is_column) b.push_back(1);
  const std::int64_t m = a[a.size() - 2], k = a.back(), n = b.back();
  if (b[b.size() - 2] != k)
    site.fail(fmt::format("shapes {} and {} do not multiply", to_text(site.shape(0)), to_text(site.shape(1))));
  const Shape a_outer(a.begin(), a.end() - 2), b_outer(b.begin(), b.end() - 2);
  const std::vector<OpInput> outer = {{true, DType::f32, a_outer, nullptr}, {true, DType::f32, b_outer, nullptr}};
  Shape shape = broadcast_shape(site, outer);
  const auto offsets = std::make_shared<const BatchOffsets>(batch_offsets(shape, a_outer, b_outer));
  if (!a_is_row) shape.push_back(m);
  if (!b_is_column) shape.push_back(n);

  const ComputedProduct product{{.m = m, .n = n, .k = k, .a_row = k, .b_row = n, .y_row = n}};
  PlannedOp planned;
  planned.outputs = {{DType::f32, shape}};
  planned.run = [m, n, k, offsets, product](const OpRun& run) {
    const float *left = run.inputs[0]->as<float>().data(), *right = run.inputs[1]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    const auto place = [&](FloatProduct& own, std::int64_t p) {
      own.a = left + offsets->a[std::size_t(p)] * m * k;
      own.b = right + offsets->b[std::size_t(p)] * k * n;
      own.y = y + p * m * n;
    };
    product.run(std::ssize(offsets->a), place, run);
  };
  planned.workspace_bytes = [product] { return product.scratch->bytes(); };
  return planned;
}

/// y = alpha * a * b + beta * c.
PlannedOp plan_gemm(const OpSite& site) {
  for (std::size_t i = 0; i < 3; ++i)
    if (site.has(i)) site.expect_dtype(i, DType::f32);
  site.expect(site.shape(0).size() == 2 && site.shape(1).size() == 2, "operands must have two axes");
  const bool turn_a = site.node->integer_or("transA", 0) != 0, turn_b = site.node->integer_or("transB", 0) != 0;
  const Shape &a = site.shape(0), &b = site.shape(1);
  const std::int64_t m = a[turn_a ? 1 : 0], k = a[turn_a ? 0 : 1], n = b[turn_b ? 0 : 1];
  if (b[turn_b ? 1 : 0] != k) site.fail(fmt::format("shapes {} and {} do not multiply", to_text(a), to_text(b)));
  const float alpha = site.node->number_or("alpha", 1.0f), beta = site.node->number_or("beta", 1.0f);
  const Shape shape = {m, n};
  BroadcastWalk walk;
  const bool has_c = site.has(2) && m * n > 0;
  if (has_c) {
    if (broadcast_shape(site, std::vector<OpInput>{{true, DType::f32, shape, nullptr}, site.inputs[2]}) != shape)
      site.fail(
          fmt::format("input 2 of shape {} does not fit a result of shape {}", to_text(site.shape(2)), to_text(shape)));
    walk = plan_walk(shape, {site.shape(2), shape});
  }
  const ComputedProduct product{{.m = m,
                                 .n = n,
                                 .k = k,
                                 .a_row = turn_a ? 1 : k,
                                 .a_column = turn_a ? m : 1,
                                 .b_row = turn_b ? 1 : n,
                                 .b_column = turn_b ? k : 1,
                                 .y_row = n}};
  PlannedOp planned;
  planned.outputs = {{DType::f32, shape}};
  planned.run = [=](const OpRun& run) {
    const std::span<float> y = run.outputs[0]->as<float>();
    const auto place = [&](FloatProduct& own, std::int64_t) {
      own.a = run.inputs[0]->as<float>().data();
      own.b = run.inputs[1]->as<float>().data();
      own.y = y.data();
    };
    product.run(1, place, run);
    for (float& value : y) value *= alpha;
    if (!has_c) return;
    const float* c = run.inputs[2]->as<float>().data();
    for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
      for (std::int64_t i = 0; i < walk.inner; ++i)
        y[std::size_t(at + i)] += beta * c[offset[0] + i * walk.inner_step[0]];
    });
  };
  planned.workspace_bytes = [product] { return product.scratch->bytes(); };
  return planned;
}

/// One output plane: y += sum over input channels and window elements of w * x.
void convolve_plane(const Window& window, std::int64_t channels, const float* x, const float* w, float* y) {
  const std::int64_t plane = window.in[0] * window.in[1];
  for (std::int64_t c = 0; c < channels; ++c, x += plane) {
    for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
      const Reach rows = reach(window, 0, ky);
      for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx, ++w) {
        const Reach columns = reach(window, 1, kx);
        for (std::int64_t oy = rows.first; oy < rows.last; ++oy) {
          const float* row = x + (oy * window.stride[0] + ky * window.dilation[0] - window.begin[0]) * window.in[1];
          const std::int64_t shift = kx * window.dilation[1] - window.begin[1];
          for (std::int64_t ox = columns.first; ox < columns.last; ++ox)
            y[oy * window.out[1] + ox] += *w * row[ox * window.stride[1] + shift];
        }
      }
    }
  }
}

PlannedOp plan_conv(const OpSite& site) {
  for (std::size_t i = 0; i < 3; ++i)
    if (site.has(i)) site.expect_dtype(i, DType::f32);
  const Shape& w = site.shape(1);
  if (w.size() != site.shape(0).size()) site.fail(fmt::format("weights of shape {} do not fit the input", to_text(w)));
  const ConvShape conv = plan_conv_shape(site, w[0], {w.begin() + 2, w.end()});
  if (w[1] * conv.groups != conv.in_channels)
    site.fail(fmt::format("weights of shape {} in {} groups do not fit {} input channels", to_text(w), conv.groups,
                          conv.in_channels));
  const bool has_bias = site.has(2);
  if (has_bias) site.expect(site.shape(2) == Shape{w[0]}, "the bias must have one element per output channel");
  PlannedOp planned;
  planned.outputs = {{DType::f32, window_result(site, conv.window, w[0])}};
  planned.run = [conv, has_bias](const OpRun& run) {
    const std::int64_t in_plane = conv.window.in[0] * conv.window.in[1], out_plane = conv.window.positions();
    const std::int64_t per_group = conv.in_channels / conv.groups;
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        const std::int64_t sample = plane / conv.out_channels, channel = plane % conv.out_channels;
        const std::int64_t group = channel / (conv.out_channels / conv.groups);
        const float* x = run.inputs[0]->as<float>().data() + (sample * conv.in_channels + group * per_group) * in_plane;
        float* y = run.outputs[0]->as<float>().data() + plane * out_plane;
        std::fill(y, y + out_plane, has_bias ? run.inputs[2]->as<float>()[std::size_t(channel)] : 0.0f);
        convolve_plane(conv.window, per_group, x, run.inputs[1]->as<float>().data() + channel * conv.k(), y);
      }
    };
    parallel_for(conv.batch * conv.out_channels, run.threads, 1, std::cref(part));
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"Conv", 2, 3, 1, plan_conv},
    {"Gemm", 2, 3, 1, plan_gemm},
    {"MatMul", 2, 2, 1, plan_matmul},
};

}  // namespace

std::span<const OperatorInfo> product_operators() { return kTable; }

}  // namespace qb
