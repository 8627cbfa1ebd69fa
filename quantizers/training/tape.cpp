#include "quantizers/training/tape.h"

#include <fmt/format.h>

#include <algorithm>

namespace qb {

Tape::Tape(const Graph& graph, const TensorMap& parameters, std::int64_t rows) : graph_(graph), rows_(rows) {
  QB_EXPECTS(rows >= 1);
  if (graph.inputs.size() != 1 || graph.outputs.empty())
    throw DataError(
        fmt::format("a graph with {} inputs and {} outputs cannot be trained; one input and an output are needed",
                    graph.inputs.size(), graph.outputs.size()));
  Shape input = graph.inputs[0].shape;
  input[0] = rows;
  values_.emplace(graph.inputs[0].name, Tensor(DType::f32, input));
  for (const Node& node : graph.nodes) {
    Step step = {&node, &training_op(node), node.inputs};
    while (!step.inputs.empty() && step.inputs.back().empty()) step.inputs.pop_back();
    std::vector<Shape> shapes;
    for (const std::string& name : step.inputs) {
      const auto parameter = parameters.find(name);
      const auto value = values_.find(name);
      if (parameter == parameters.end() && value == values_.end())
        throw DataError(fmt::format("node '{}': input '{}' is neither a weight nor an earlier value", node.name, name));
      shapes.push_back(parameter != parameters.end() ? parameter->second.shape : value->second.shape);
    }
    const Tensor output(DType::f32, step.op->shape(node, shapes));
    values_.emplace(node.outputs.at(0), output);
    value_gradients_.emplace(node.outputs.at(0), output);
    steps_.push_back(std::move(step));
  }
  if (!value_gradients_.contains(graph.outputs[0]))
    throw DataError(fmt::format("the graph's output '{}' is not the output of a node", graph.outputs[0]));
}

std::vector<const Tensor*> Tape::operands(const Step& step, const TensorMap& parameters) const {
  std::vector<const Tensor*> tensors;
  for (const std::string& name : step.inputs) {
    const auto parameter = parameters.find(name);
    tensors.push_back(parameter != parameters.end() ? &parameter->second : &values_.find(name)->second);
  }
  return tensors;
}

const Tensor& Tape::forward(const TensorMap& parameters, std::span<const float> samples) {
  const std::span<float> input = values_.find(graph_.inputs[0].name)->second.as<float>();
  QB_EXPECTS(samples.size() == input.size());
  std::ranges::copy(samples, input.begin());
  for (const Step& step : steps_) {
    const std::vector<const Tensor*> inputs = operands(step, parameters);
    step.op->forward({*step.node, inputs, scratch_}, values_.find(step.node->outputs[0])->second);
  }
  return values_.find(graph_.outputs[0])->second;
}

void Tape::backward(const TensorMap& parameters, std::span<const float> output_gradient, TensorMap& gradients) {
  for (auto& [name, gradient] : value_gradients_) std::ranges::fill(gradient.as<float>(), 0.0f);
  const std::span<float> last = value_gradients_.find(graph_.outputs[0])->second.as<float>();
  QB_EXPECTS(output_gradient.size() == last.size());
  std::ranges::copy(output_gradient, last.begin());
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    const std::vector<const Tensor*> inputs = operands(*step, parameters);
    std::vector<Tensor*> input_gradients;
    for (const std::string& name : step->inputs) {
      const auto parameter = gradients.find(name);
      const auto value = value_gradients_.find(name);
      input_gradients.push_back(parameter != gradients.end()      ? &parameter->second
                                : value != value_gradients_.end() ? &value->second
                                                                  : nullptr);
    }
    const std::string& output = step->node->outputs[0];
    step->op->backward({*step->node, inputs, scratch_}, values_.find(output)->second,
                       value_gradients_.find(output)->second, input_gradients);
  }
}

TensorMap zeros_like(const TensorMap& like) {
  TensorMap zeros;
  for (const auto& [name, tensor] : like) zeros.emplace(name, Tensor(tensor.dtype, tensor.shape));
  return zeros;
}

}  // namespace qb
