#include "models/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "kernels/activation_rows.h"
#include "models/weight_matrix.h"

namespace qb {

namespace {

constexpr std::string_view kTypeNames[] = {"an integer",         "a number",          "a text",
                                           "a list of integers", "a list of numbers", "a tensor"};

template <class T>
T attribute_or(const Node& node, std::string_view key, T otherwise, std::string_view wanted) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return otherwise;
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  throw DataError(fmt::format("node '{}' ({}): attribute '{}' is {} but must be {}", node.name, node.op, key,
                              kTypeNames[found->second.index()], wanted));
}

}  // namespace

std::int64_t Node::integer_or(std::string_view key, std::int64_t otherwise) const {
  return attribute_or<std::int64_t>(*this, key, otherwise, "an integer");
}

float Node::number_or(std::string_view key, float otherwise) const {
  return attribute_or<float>(*this, key, otherwise, "a number");
}

std::string Node::text_or(std::string_view key, std::string otherwise) const {
  return attribute_or<std::string>(*this, key, std::move(otherwise), "a text");
}

std::vector<std::int64_t> Node::integers_or(std::string_view key, std::vector<std::int64_t> otherwise) const {
  return attribute_or<std::vector<std::int64_t>>(*this, key, std::move(otherwise), "a list of integers");
}

std::string_view name_of(Task task) { return task == Task::classification ? "classification" : "language"; }

namespace {

/// Names, and order of definition and use.
void check_values(const Model& model) {
  const Graph& graph = model.graph;
  std::set<std::string_view> defined, node_names;
  for (const ValueInfo& input : graph.inputs)
    if (!defined.insert(input.name).second)
      throw DataError(fmt::format("model '{}': two graph inputs are named '{}'", model.name, input.name));
  for (const auto& [name, weight] : model.weights) {
    if (!defined.insert(name).second)
      throw DataError(fmt::format("model '{}': '{}' is both a graph input and a weight", model.name, name));
  }
  for (const Node& node : graph.nodes) {
    if (!node_names.insert(node.name).second)
      throw DataError(fmt::format("model '{}': two nodes are named '{}'", model.name, node.name));
    for (const std::string& input : node.inputs) {
      if (!input.empty() && !defined.contains(input))
        throw DataError(
            fmt::format("node '{}' ({}): its input '{}' is not defined before it", node.name, node.op, input));
    }
    for (const std::string& output : node.outputs) {
      if (!output.empty() && !defined.insert(output).second)
        throw DataError(
            fmt::format("node '{}' ({}): its output '{}' has already been defined", node.name, node.op, output));
    }
  }
  if (graph.outputs.empty()) throw DataError(fmt::format("model '{}': the graph has no output", model.name));
  for (const std::string& output : graph.outputs) {
    if (!defined.contains(output))
      throw DataError(fmt::format("model '{}': the graph output '{}' is not defined", model.name, output));
  }
}

void check_grid(const Node& node, std::string_view what, int bits, float scale, std::int32_t zero) {
  if (bits < 2 || bits > 8)
    throw DataError(
        fmt::format("node '{}' ({}): {}-bit {}s are not known; 2 to 8 are", node.name, node.op, bits, what));
  const std::int32_t half = std::int32_t(1) << (bits - 1);
  if (!(scale > 0 && scale <= std::numeric_limits<float>::max() && zero >= -half && zero < half))
    throw DataError(
        fmt::format("node '{}' ({}): {} scale {} must be positive and finite, and zero point {} in [{}, {}]", node.name,
                    node.op, what, scale, zero, -half, half - 1));
}

/// A packed weight is read as the matrix of Conv, Gemm or MatMul and by nobody else.
void check_packed_weights(const Model& model) {
  std::map<std::string, std::size_t> matrix_reads, reads;
  std::set<std::size_t> packed_nodes;
  for (const MatrixWeight& use : matrix_uses(model)) {
    ++matrix_reads[use.weight];
    if (std::holds_alternative<PackedMatrix>(model.weights.find(use.weight)->second)) packed_nodes.insert(use.node);
  }
  for (const Node& node : model.graph.nodes)
    for (const std::string& input : node.inputs) ++reads[input];
  for (const auto& [name, weight] : model.weights) {
    if (!std::holds_alternative<PackedMatrix>(weight)) continue;
    if (matrix_reads[name] == 0 || matrix_reads[name] != reads[name])
      throw DataError(
          fmt::format("model '{}': the packed weight '{}' must be the matrix of a Conv, Gemm or MatMul and "
                      "nothing else",
                      model.name, name));
  }
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const Node& node = model.graph.nodes[i];
    if (node.activation) {
      const ActivationQuant& quant = *node.activation;
      if (!packed_nodes.contains(i))
        throw DataError(fmt::format("node '{}' ({}): activations can be quantized only where the weight is packed",
                                    node.name, node.op));
      check_grid(node, "activation", quant.bits, quant.is_static ? quant.scale : 1.0f,
                 quant.is_static ? quant.zero : 0);
      if (quant.group != 0 &&
          (quant.is_static || std::ranges::find(kActivationGroups, quant.group) == kActivationGroups.end()))
        throw DataError(fmt::format(
            "node '{}' ({}): {} activations with a scale per {} columns are not known; dynamic ones per {} are",
            node.name, node.op, quant.is_static ? "static" : "dynamic", quant.group,
            fmt::join(kActivationGroups, ", ")));
    }
    if (node.result) {
      if (!node.activation || !node.activation->is_static)
        throw DataError(
            fmt::format("node '{}' ({}): its result can be requantized only where its activations are "
                        "static codes",
                        node.name, node.op));
      check_grid(node, "result", node.result->bits, node.result->scale, node.result->zero);
    }
  }
}

}  // namespace

void check_graph(const Model& model) {
  check_values(model);
  check_packed_weights(model);
}

}  // namespace qb
