#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "models/import/onnx_draft.h"
#include "models/ops.h"

namespace qb {

namespace {

std::uint64_t bytes_of_outputs(const Node& node, int opset, std::span<const Tensor* const> inputs) {
  std::vector<OpInput> known;
  for (const Tensor* tensor : inputs)
    known.push_back(tensor ? OpInput{true, tensor->dtype, tensor->shape, tensor} : OpInput{});
  std::uint64_t bytes = 0;
  for (const OpOutput& output : plan_operator(node, opset, std::move(known)).outputs)
    bytes += std::uint64_t(element_count(output.shape)) * bytes_of(output.dtype);
  return bytes;
}

}  // namespace

bool fold(OnnxDraft& draft, const Node& node) {
  if (node.inputs.empty()) return false;
  if (node.op == "Identity") {
    if (node.inputs[0].empty() || node.outputs[0].empty()) draft.fail(node, "has no input or no output");
    draft.alias[node.outputs[0]] = node.inputs[0];
    return true;
  }
  std::vector<const Tensor*> inputs;
  for (const std::string& name : node.inputs) {
    inputs.push_back(name.empty() ? nullptr : draft.constant(name));
    if (!name.empty() && !inputs.back()) return false;
  }
  try {
    const std::uint64_t bytes = bytes_of_outputs(node, draft.opset, inputs);
    if (bytes > draft.fold_budget) draft.fail(node, "makes constants that are many times larger than the file");
    draft.fold_budget -= bytes;
    std::vector<Tensor> outputs = evaluate_node(node, draft.opset, inputs);
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty()) draft.model.weights[node.outputs[i]] = std::move(outputs[i]);
  } catch (const DataError& fault) {
    if (std::string_view(fault.what()).starts_with(draft.where)) throw;
    throw DataError(fmt::format("{}: {}", draft.where, fault.what()));
  }
  return true;
}

}  // namespace qb
