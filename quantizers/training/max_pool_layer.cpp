#include <fmt/format.h>

#include <algorithm>

#include "quantizers/training/layer_rows.h"

namespace qb {
namespace {

struct PoolWindow {
  std::int64_t height, width, down, across;  ///< extents and strides
};

PoolWindow window_of(const Node& node) {
  const std::vector<std::int64_t> kernel = node.integers_or("kernel_shape", {});
  const std::vector<std::int64_t> strides = node.integers_or("strides", {1, 1});
  const std::vector<std::int64_t> pads = node.integers_or("pads", {0, 0, 0, 0});
  const bool padded = std::any_of(pads.begin(), pads.end(), [](std::int64_t pad) { return pad != 0; });
  if (kernel.size() != 2 || strides.size() != 2 || kernel[0] < 1 || kernel[1] < 1 || strides[0] < 1 || strides[1] < 1 ||
      padded || node.integer_or("ceil_mode", 0) != 0 || node.text_or("auto_pad", "NOTSET") != "NOTSET")
    throw DataError(
        fmt::format("node '{}': a MaxPool can be trained with two kernel extents and without pads", node.name));
  return {kernel[0], kernel[1], strides[0], strides[1]};
}

Shape max_pool_shape(const Node& node, std::span<const Shape> inputs) {
  const PoolWindow window = window_of(node);
  const Shape& x = inputs[0];
  if (x.size() != 4 || x[2] < window.height || x[3] < window.width)
    throw DataError(fmt::format("node '{}': input {} does not fit a window of {} x {}", node.name, to_text(x),
                                window.height, window.width));
  return {x[0], x[1], (x[2] - window.height) / window.down + 1, (x[3] - window.width) / window.across + 1};
}

/// Calls visit(index of an output, index of its window's first element in the input).
template <class Visit>
void visit_windows(const PoolWindow& window, const Shape& x, const Shape& y, Visit visit) {
  std::int64_t output = 0;
  for (std::int64_t plane = 0; plane < y[0] * y[1]; ++plane)
    for (std::int64_t row = 0; row < y[2]; ++row)
      for (std::int64_t column = 0; column < y[3]; ++column, ++output)
        visit(output, (plane * x[2] + row * window.down) * x[3] + column * window.across);
}

void max_pool_forward(const LayerCall& call, Tensor& output) {
  const PoolWindow window = window_of(call.node);
  const Shape& shape = call.inputs[0]->shape;
  const float* x = call.inputs[0]->as<float>().data();
  float* y = output.as<float>().data();
  visit_windows(window, shape, output.shape, [&](std::int64_t to, std::int64_t first) {
    float largest = x[first];
    for (std::int64_t i = 0; i < window.height; ++i)
      for (std::int64_t j = 0; j < window.width; ++j) largest = std::max(largest, x[first + i * shape[3] + j]);
    y[to] = largest;
  });
}

void max_pool_backward(const LayerCall& call, const Tensor& output, const Tensor& output_gradient,
                       std::span<Tensor* const> input_gradients) {
  if (!input_gradients[0]) return;
  const PoolWindow window = window_of(call.node);
  const Shape& shape = call.inputs[0]->shape;
  const float *x = call.inputs[0]->as<float>().data(), *y = output.as<float>().data();
  const float* dy = output_gradient.as<float>().data();
  float* dx = input_gradients[0]->as<float>().data();
  visit_windows(window, shape, output.shape, [&](std::int64_t from, std::int64_t first) {
    if (dy[from] == 0.0f) return;
    for (std::int64_t i = 0; i < window.height; ++i) {
      for (std::int64_t j = 0; j < window.width; ++j) {
        const std::int64_t at = first + i * shape[3] + j;
        if (x[at] != y[from]) continue;
        dx[at] += dy[from];
        return;
      }
    }
  });
}

}  // namespace

TrainingOp max_pool_training_op() { return {"MaxPool", max_pool_shape, max_pool_forward, max_pool_backward}; }

}  // namespace qb
