#include "models/import/used_weights.h"

#include <set>
#include <string_view>

namespace qb {

void keep_used_weights(Model& model) {
  std::set<std::string_view> used;
  for (const Node& node : model.graph.nodes) used.insert(node.inputs.begin(), node.inputs.end());
  std::erase_if(model.weights, [&](const auto& entry) { return !used.contains(entry.first); });
  for (auto& [name, weight] : model.weights) {
    Tensor* tensor = std::get_if<Tensor>(&weight);
    if (tensor && (tensor->dtype == DType::f16 || tensor->dtype == DType::bf16 || tensor->dtype == DType::f64))
      *tensor = to_f32(*tensor);
  }
}

}  // namespace qb
