#include "models/graph_edits.h"

#include <algorithm>
#include <set>

namespace qb {

std::map<std::string, std::optional<std::size_t>> sole_readers(const Graph& graph) {
  std::map<std::string, std::optional<std::size_t>> readers;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& input : graph.nodes[i].inputs) {
      const auto [entry, is_new] = readers.try_emplace(input, i);
      if (!is_new) entry->second.reset();
    }
  }
  for (const std::string& output : graph.outputs) readers[output].reset();
  return readers;
}

std::optional<std::size_t> maker_of(const Graph& graph, const std::string& value) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (std::ranges::find(graph.nodes[i].outputs, value) != graph.nodes[i].outputs.end()) return i;
  return std::nullopt;
}

bool is_float(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

std::optional<std::vector<double>> constant_vector(const Model& model, const Node& node, std::size_t input,
                                                   std::int64_t n, std::int64_t axes_after) {
  if (input >= node.inputs.size()) return std::nullopt;
  const auto found = model.weights.find(node.inputs[input]);
  if (found == model.weights.end()) return std::nullopt;
  const Tensor* tensor = std::get_if<Tensor>(&found->second);
  if (!tensor || !is_float(tensor->dtype) || tensor->size() != n) return std::nullopt;
  const std::int64_t axis = std::int64_t(tensor->rank()) - 1 - axes_after;
  if (axis < 0 || tensor->shape[std::size_t(axis)] != n) return std::nullopt;
  const Tensor values = to_f32(*tensor);
  return std::vector<double>(values.as<float>().begin(), values.as<float>().end());
}

void replace_constant(Model& model, std::size_t node, std::size_t input, std::span<const double> values,
                      std::string name) {
  std::vector<std::string>& inputs = model.graph.nodes[node].inputs;
  Shape shape = {std::ssize(values)};
  if (input < inputs.size())
    if (const auto old = model.weights.find(inputs[input]); old != model.weights.end())
      shape = std::get<Tensor>(old->second).shape;
  Tensor tensor(DType::f32, shape);
  std::ranges::transform(values, tensor.as<float>().begin(), [](double value) { return float(value); });
  if (inputs.size() <= input) inputs.resize(input + 1);
  inputs[input] = fresh_name(model, std::move(name));
  model.weights.emplace(inputs[input], std::move(tensor));
}

std::string fresh_name(const Model& model, std::string name) {
  const auto is_taken = [&](const Node& node) {
    return node.name == name || std::ranges::find(node.outputs, name) != node.outputs.end();
  };
  while (model.weights.contains(name) || std::ranges::any_of(model.graph.nodes, is_taken)) name += "'";
  return name;
}

void insert_on_input(Model& model, std::size_t node, const std::string& op,
                     std::map<std::string, Attribute, std::less<>> attributes, Tensor constant) {
  Node& reader = model.graph.nodes[node];
  Node made;
  made.name = fresh_name(model, reader.name + ".input");
  made.op = op;
  made.attributes = std::move(attributes);
  made.inputs = {reader.inputs[0], fresh_name(model, made.name + ".constant")};
  made.outputs = {fresh_name(model, made.name + ".value")};
  model.weights.emplace(made.inputs[1], std::move(constant));
  reader.inputs[0] = made.outputs[0];
  model.graph.nodes.insert(model.graph.nodes.begin() + std::ptrdiff_t(node), std::move(made));
}

void drop_unread_weights(Model& model) {
  std::set<std::string> read(model.graph.outputs.begin(), model.graph.outputs.end());
  for (const Node& node : model.graph.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  std::erase_if(model.weights, [&](const auto& entry) { return !read.contains(entry.first); });
}

}  // namespace qb
