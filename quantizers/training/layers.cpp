#include "quantizers/training/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/base/text.h"
#include "quantizers/training/layer_rows.h"

namespace qb {
namespace {

Shape relu_shape(const Node&, std::span<const Shape> inputs) { return inputs[0]; }

void relu_forward(const LayerCall& call, Tensor& output) {
  const std::span<const float> x = call.inputs[0]->as<float>();
  const std::span<float> y = output.as<float>();
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] > 0 ? x[i] : 0.0f;
}

void relu_backward(const LayerCall&, const Tensor& output, const Tensor& output_gradient,
                   std::span<Tensor* const> input_gradients) {
  if (!input_gradients[0]) return;
  const std::span<const float> y = output.as<float>(), dy = output_gradient.as<float>();
  const std::span<float> dx = input_gradients[0]->as<float>();
  for (std::size_t i = 0; i < y.size(); ++i) dx[i] += y[i] > 0 ? dy[i] : 0.0f;
}

Shape flatten_shape(const Node& node, std::span<const Shape> inputs) {
  if (node.integer_or("axis", 1) != 1 || inputs[0].empty())
    throw DataError(fmt::format("node '{}': a Flatten can be trained with axis = 1", node.name));
  std::int64_t features = 1;
  for (std::size_t i = 1; i < inputs[0].size(); ++i) features *= inputs[0][i];
  return {inputs[0][0], features};
}

void flatten_forward(const LayerCall& call, Tensor& output) {
  std::ranges::copy(call.inputs[0]->as<float>(), output.as<float>().begin());
}

void flatten_backward(const LayerCall&, const Tensor&, const Tensor& output_gradient,
                      std::span<Tensor* const> input_gradients) {
  if (!input_gradients[0]) return;
  const std::span<const float> dy = output_gradient.as<float>();
  const std::span<float> dx = input_gradients[0]->as<float>();
  for (std::size_t i = 0; i < dy.size(); ++i) dx[i] += dy[i];
}

}  // namespace

std::span<const TrainingOp> training_ops() {
  static const std::array table = {
      conv_training_op(),
      TrainingOp{"Flatten", flatten_shape, flatten_forward, flatten_backward},
      gemm_training_op(),
      max_pool_training_op(),
      TrainingOp{"Relu", relu_shape, relu_forward, relu_backward},
  };
  return table;
}

const TrainingOp& training_op(const Node& node) {
  std::vector<std::string> names;
  for (const TrainingOp& op : training_ops()) {
    if (op.op == node.op) return op;
    names.emplace_back(op.op);
  }
  throw DataError(
      fmt::format("node '{}': operator {} cannot be trained; {} can", node.name, node.op, join(names, ", ")));
}

}  // namespace qb
