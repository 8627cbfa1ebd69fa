#include "models/import/used_weights.h"

#include <set>
#include <string_view>
#include <utility>

namespace qb {

Tensor as_computed(Tensor tensor) {
  const bool other = tensor.dtype == DType::f16 || tensor.dtype == DType::bf16 || tensor.dtype == DType::f64;
  return other ? to_f32(tensor) : tensor;
}

void keep_used_weights(Model& model) {
  std::set<std::string_view> used;
  for (const Node& node : model.graph.nodes) used.insert(node.inputs.begin(), node.inputs.end());
  std::erase_if(model.weights, [&](const auto& entry) { return !used.contains(entry.first); });
  for (auto& [name, weight] : model.weights)
    if (Tensor* tensor = std::get_if<Tensor>(&weight)) *tensor = as_computed(std::move(*tensor));
}

}  // namespace qb
