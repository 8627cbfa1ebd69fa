// Normalizations: batch, layer, instance, local response, softmax.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/base/parallel.h"
#include "models/float_functions.h"
#include "models/ops.h"

namespace qb {

namespace {

constexpr std::int64_t kRowsPerThread = 8;  ///< fewer are done before another thread has begun

/// A tensor seen as [outer, extent, inner] around one axis (or a run of axes).
struct AxisView {
  std::int64_t outer = 1, extent = 1, inner = 1;
};

AxisView view_of(const Shape& shape, std::size_t axis, std::size_t axis_end) {
  AxisView view;
  for (std::size_t i = 0; i < shape.size(); ++i)
    (i < axis ? view.outer : i < axis_end ? view.extent : view.inner) *= shape[i];
  return view;
}

/// From opset 13 on over one axis, the last by default; before over everything from `axis` on, 1 by default.
AxisView softmax_view(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  const Shape& shape = site.shape(0);
  const bool single = site.opset >= 13;
  const std::size_t axis = site.axis(site.node->integer_or("axis", single ? -1 : 1), std::ssize(shape), single ? 0 : 1);
  return view_of(shape, axis, single ? axis + 1 : shape.size());
}

constexpr std::int64_t kLanes = 8;

/// Sum of term(0) to term(count - 1) in eight lanes, so that it is vectorized in a fixed order.
template <class Term>
double lane_sum(std::int64_t count, Term term) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  for (; i < count; ++i) lanes[i % kLanes] += term(i);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// count >= 1.
float largest(const float* x, std::int64_t count, std::int64_t step) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, x[0]);
  std::int64_t i = 0;
  if (step == 1)
    for (; i + kLanes <= count; i += kLanes)
      for (std::int64_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
  for (; i < count; ++i) lanes[0] = std::max(lanes[0], x[i * step]);
  return *std::max_element(lanes, lanes + kLanes);
}

/// exp(x - max) in y, and their sum in float64.
double exponentials(const float* x, float* y, std::int64_t count, std::int64_t step) {
  const float most = largest(x, count, step);
  if (step == 1) {
    for (std::int64_t i = 0; i < count; ++i) y[i] = exp_f32(x[i] - most);
  } else {
    for (std::int64_t i = 0; i < count; ++i) y[i * step] = exp_f32(x[i * step] - most);
  }
  return lane_sum(count, [&](std::int64_t i) { return double(y[i * step]); });
}

/// Calls body(x, y) at the first element of every line along the axis.
template <class Body>
PlannedOp along_axis(const OpSite& site, AxisView view, Body body) {
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    if (view.extent == 0) return;
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o)
        for (std::int64_t i = 0; i < view.inner; ++i) {
          const std::int64_t at = o * view.extent * view.inner + i;
          body(x + at, y + at, view);
        }
    };
    parallel_for(view.outer, run.threads, kRowsPerThread, std::cref(part));
  };
  return planned;
}

PlannedOp plan_softmax(const OpSite& site) {
  return along_axis(site, softmax_view(site), [](const float* x, float* y, const AxisView& view) {
    const auto factor = float(1.0 / exponentials(x, y, view.extent, view.inner));
    for (std::int64_t i = 0; i < view.extent; ++i) y[i * view.inner] *= factor;
  });
}

PlannedOp plan_log_softmax(const OpSite& site) {
  return along_axis(site, softmax_view(site), [](const float* x, float* y, const AxisView& view) {
    const float most = largest(x, view.extent, view.inner);
    const auto shift = float(
        std::log(lane_sum(view.extent, [&](std::int64_t i) { return double(exp_f32(x[i * view.inner] - most)); })));
    for (std::int64_t i = 0; i < view.extent; ++i) y[i * view.inner] = (x[i * view.inner] - most) - shift;
  });
}

void expect_length(const OpSite& site, std::size_t input, std::int64_t wanted) {
  site.expect_dtype(input, DType::f32);
  if (element_count(site.shape(input)) != wanted)
    site.fail(
        fmt::format("input {} has the shape {} but must have {} elements", input, to_text(site.shape(input)), wanted));
}

PlannedOp plan_batch_normalization(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect(site.shape(0).size() >= 2, "input 0 must have a channel axis");
  site.expect(site.node->integer_or("training_mode", 0) == 0, "training mode is not supported");
  const AxisView view = view_of(site.shape(0), 1, 2);
  for (std::size_t input = 1; input <= 4; ++input) expect_length(site, input, view.extent);
  const double epsilon = site.node->number_or("epsilon", 1e-5f);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const auto parameter = [&](std::size_t input, std::int64_t c) {
      return double(run.inputs[input]->as<float>()[std::size_t(c)]);
    };
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    for (std::int64_t c = 0; c < view.extent; ++c) {
      const double factor = parameter(1, c) / std::sqrt(parameter(4, c) + epsilon);
      const auto scale = float(factor), offset = float(parameter(2, c) - parameter(3, c) * factor);
      for (std::int64_t o = 0; o < view.outer; ++o) {
        const std::int64_t at = (o * view.extent + c) * view.inner;
        for (std::int64_t i = 0; i < view.inner; ++i) y[at + i] = x[at + i] * scale + offset;
      }
    }
  };
  return planned;
}

struct Moments {
  double mean = 0, factor = 1;  ///< 1 / sqrt(variance + epsilon)
};

Moments moments_of(const float* x, std::int64_t count, double epsilon) {
  const double mean = lane_sum(count, [&](std::int64_t i) { return double(x[i]); }) / double(count);
  const double squares = lane_sum(count, [&](std::int64_t i) { return (double(x[i]) - mean) * (double(x[i]) - mean); });
  return {mean, 1.0 / std::sqrt(squares / double(count) + epsilon)};
}

/// Source: Ba, Kiros and Hinton (arXiv:1607.06450).
PlannedOp plan_layer_normalization(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  const std::size_t axis = site.axis(site.node->integer_or("axis", -1), std::ssize(site.shape(0)));
  const AxisView view = view_of(site.shape(0), axis, site.shape(0).size());
  const bool has_bias = site.has(2);
  expect_length(site, 1, view.extent);
  if (has_bias) expect_length(site, 2, view.extent);
  const double epsilon = site.node->number_or("epsilon", 1e-5f);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const float* scale = run.inputs[1]->as<float>().data();
    const float* bias = has_bias ? run.inputs[2]->as<float>().data() : nullptr;
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        const float* x = run.inputs[0]->as<float>().data() + o * view.extent;
        float* y = run.outputs[0]->as<float>().data() + o * view.extent;
        const Moments moments = moments_of(x, view.extent, epsilon);
        for (std::int64_t i = 0; i < view.extent; ++i) {
          const auto normal = float((double(x[i]) - moments.mean) * moments.factor);
          y[i] = normal * scale[i] + (bias ? bias[i] : 0.0f);
        }
      }
    };
    parallel_for(view.outer, run.threads, kRowsPerThread, std::cref(part));
  };
  return planned;
}

/// Source: Zhang and Sennrich (arXiv:1910.07467).
PlannedOp plan_rms_normalization(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect_dtype(1, DType::f32);
  const std::size_t axis = site.axis(site.node->integer_or("axis", -1), std::ssize(site.shape(0)));
  const AxisView view = view_of(site.shape(0), axis, site.shape(0).size());
  const Shape tail(site.shape(0).begin() + std::ptrdiff_t(axis), site.shape(0).end());
  const std::int64_t scales = element_count(site.shape(1));
  if (scales != 1 && site.shape(1) != tail)
    site.fail(fmt::format("input 1 has the shape {} but must have the shape {} or one element", to_text(site.shape(1)),
                          to_text(tail)));
  site.expect(site.node->integer_or("stash_type", 1) == 1, "attribute 'stash_type' must be 1 (float32)");
  const double epsilon = site.node->number_or("epsilon", 1e-5f);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const float* scale = run.inputs[1]->as<float>().data();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        const float* x = run.inputs[0]->as<float>().data() + o * view.extent;
        float* y = run.outputs[0]->as<float>().data() + o * view.extent;
        const double squares = lane_sum(view.extent, [&](std::int64_t i) { return double(x[i]) * double(x[i]); });
        const auto factor = float(1.0 / std::sqrt(squares / double(view.extent) + epsilon));
        if (scales == 1) {
          for (std::int64_t i = 0; i < view.extent; ++i) y[i] = x[i] * factor * *scale;
        } else {
          for (std::int64_t i = 0; i < view.extent; ++i) y[i] = x[i] * factor * scale[i];
        }
      }
    };
    parallel_for(view.outer, run.threads, kRowsPerThread, std::cref(part));
  };
  return planned;
}

PlannedOp plan_instance_normalization(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect(site.shape(0).size() >= 3, "input 0 must have spatial axes");
  const AxisView view = view_of(site.shape(0), 1, 2);
  expect_length(site, 1, view.extent);
  expect_length(site, 2, view.extent);
  const double epsilon = site.node->number_or("epsilon", 1e-5f);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    for (std::int64_t plane = 0; plane < view.outer * view.extent; ++plane) {
      const auto c = std::size_t(plane % view.extent);
      const float scale = run.inputs[1]->as<float>()[c], bias = run.inputs[2]->as<float>()[c];
      const float* x = run.inputs[0]->as<float>().data() + plane * view.inner;
      float* y = run.outputs[0]->as<float>().data() + plane * view.inner;
      const Moments moments = moments_of(x, view.inner, epsilon);
      for (std::int64_t i = 0; i < view.inner; ++i)
        y[i] = float((double(x[i]) - moments.mean) * moments.factor) * scale + bias;
    }
  };
  return planned;
}

/// y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.
/// Source: Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3.
PlannedOp plan_lrn(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect(site.shape(0).size() >= 2, "input 0 must have a channel axis");
  const AxisView view = view_of(site.shape(0), 1, 2);
  const std::int64_t size = site.node->integer_or("size", 0);
  site.expect(size >= 1, "attribute 'size' must be at least 1");
  const double alpha = site.node->number_or("alpha", 1e-4f), beta = site.node->number_or("beta", 0.75f);
  const double bias = site.node->number_or("bias", 1.0f);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.run = [=](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    for (std::int64_t line = 0; line < view.outer * view.inner; ++line) {
      const std::int64_t base = line / view.inner * view.extent * view.inner + line % view.inner;
      for (std::int64_t c = 0; c < view.extent; ++c) {
        const std::int64_t first = std::max<std::int64_t>(0, c - (size - 1) / 2),
                           last = std::min(view.extent - 1, c + size / 2);
        double squares = 0;
        for (std::int64_t j = first; j <= last; ++j)
          squares += double(x[base + j * view.inner]) * double(x[base + j * view.inner]);
        const std::int64_t at = base + c * view.inner;
        y[at] = float(double(x[at]) / std::pow(bias + alpha / double(size) * squares, beta));
      }
    }
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"BatchNormalization", 5, 5, 1, plan_batch_normalization},
    {"InstanceNormalization", 3, 3, 1, plan_instance_normalization},
    {"LRN", 1, 1, 1, plan_lrn},
    {"LayerNormalization", 2, 3, 1, plan_layer_normalization},
    {"LogSoftmax", 1, 1, 1, plan_log_softmax},
    {"RMSNormalization", 2, 2, 1, plan_rms_normalization},
    {"Softmax", 1, 1, 1, plan_softmax},
};

}  // namespace

std::span<const OperatorInfo> norm_operators() { return kTable; }

}  // namespace qb
