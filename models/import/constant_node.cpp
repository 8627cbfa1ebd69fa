#include "models/import/constant_node.h"

#include <fmt/format.h>

#include "kernels/base/error.h"

namespace qb {

namespace {

/// The attribute of that name and type; null when there is none.
template <class T>
const T* find(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(key);
  return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

Tensor constant_value(const Node& node, std::string_view where) {
  if (const auto* tensor = find<Tensor>(node, "value")) return *tensor;
  if (const auto* number = find<float>(node, "value_float")) return tensor_of({}, std::span(number, 1));
  if (const auto* integer = find<std::int64_t>(node, "value_int")) return tensor_of({}, std::span(integer, 1));
  if (const auto* numbers = find<std::vector<float>>(node, "value_floats"))
    return tensor_of({std::ssize(*numbers)}, *numbers);
  if (const auto* integers = find<std::vector<std::int64_t>>(node, "value_ints"))
    return tensor_of({std::ssize(*integers)}, *integers);
  throw DataError(fmt::format("{}: node '{}' (Constant) holds no numbers", where, node.name));
}

void take_constants(Model& model, std::string_view where) {
  for (const Node& node : model.graph.nodes) {
    if (node.op != "Constant") continue;
    const std::string name = node.outputs.size() == 1 ? node.outputs[0] : "";
    if (name.empty() || !model.weights.emplace(name, constant_value(node, where)).second)
      throw DataError(
          fmt::format("{}: node '{}' (Constant) must have one output, with a name of its own", where, node.name));
  }
  std::erase_if(model.graph.nodes, [](const Node& node) { return node.op == "Constant"; });
}

}  // namespace qb
