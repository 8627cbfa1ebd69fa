#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/base/error.h"
#include "models/element_types.h"
#include "models/import/onnx_draft.h"

namespace qb {

namespace {

void set_input(Node& node, std::size_t position, std::string name) {
  if (node.inputs.size() <= position) node.inputs.resize(position + 1);
  node.inputs[position] = std::move(name);
}

/// Moves an attribute that later became an input; absent attributes leave the input "not given".
void to_input(OnnxDraft& draft, Node& node, std::string_view key, std::size_t position) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return;
  Tensor value;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&found->second)) {
    value = tensor_of({std::ssize(*list)}, *list);
  } else if (const auto* integer = std::get_if<std::int64_t>(&found->second)) {
    value = tensor_of({1}, std::span(integer, 1));
  } else if (const auto* number = std::get_if<float>(&found->second)) {
    value = tensor_of({}, std::span(number, 1));
  } else {
    draft.fail(node, fmt::format("attribute '{}' has a type it cannot have", key));
  }
  set_input(node, position, draft.add_constant(node, key, std::move(value)));
  node.attributes.erase(found);
}

/// An attribute that became an input: in `op`, until opset `before`.
struct Moved {
  std::string_view op;
  int before;
  std::string_view attribute;
  std::size_t position;
};

/// Source: the ONNX operator changelog (onnx.ai/onnx/operators, "Changelog").
constexpr std::array<Moved, 20> kMoved = {{
    {"Squeeze", 13, "axes", 1},
    {"Unsqueeze", 13, "axes", 1},
    {"Slice", 10, "starts", 1},
    {"Slice", 10, "ends", 2},
    {"Slice", 10, "axes", 3},
    {"Pad", 11, "pads", 1},
    {"Pad", 11, "value", 2},
    {"Clip", 11, "min", 1},
    {"Clip", 11, "max", 2},
    {"Split", 13, "split", 1},
    {"TopK", 10, "k", 1},
    {"ReduceSum", 13, "axes", 1},
    {"ReduceMean", 18, "axes", 1},
    {"ReduceMax", 18, "axes", 1},
    {"ReduceMin", 18, "axes", 1},
    {"ReduceProd", 18, "axes", 1},
    {"ReduceL1", 18, "axes", 1},
    {"ReduceL2", 18, "axes", 1},
    {"ReduceSumSquare", 18, "axes", 1},
    {"ReduceLogSumExp", 18, "axes", 1},
}};

void normalise_batch_norm(const OnnxDraft& draft, Node& node) {
  if (node.integer_or("training_mode", 0) != 0) draft.fail(node, "is in training mode; export the model for inference");
  if (node.integer_or("spatial", 1) != 1) draft.fail(node, "has spatial = 0, which is not computed; accepted is 1");
  for (const std::string_view key : {"training_mode", "spatial", "momentum"}) {
    const auto found = node.attributes.find(key);
    if (found != node.attributes.end()) node.attributes.erase(found);
  }
}

/// An inference Dropout passes its input on, whatever its ratio.
void normalise_dropout(const OnnxDraft& draft, Node& node) {
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
    const Tensor* training = draft.constant(node.inputs[2]);
    if (!training || training->dtype != DType::boolean || training->size() != 1)
      draft.fail(node, "has a training_mode that is not a constant");
    if (training->bytes.data()[0] != std::byte{})
      draft.fail(node, "is in training mode; export the model for inference");
  }
  if (node.inputs.empty()) draft.fail(node, "has no input");
  node.op = "Identity";
  node.attributes.clear();
  node.inputs.resize(1);
}

/// Only the first output of these means anything in inference.
void keep_first_output(const OnnxDraft& draft, Node& node) {
  if (node.outputs[0].empty()) draft.fail(node, "has no first output");
  node.outputs.resize(1);
}

/// Networks are computed in float32, so a cast to double is one to float32.
void narrow_cast(Node& node) {
  if (dtype_of_onnx(node.integer_or("to", 0)) == DType::f64) node.attributes["to"] = onnx_number_of(DType::f32);
}

/// A target whose leading 1 stood for the batch of a fixed input becomes 0: "as the input has it".
void follow_batch(OnnxDraft& draft, Node& node) {
  if (node.inputs.size() < 2 || !draft.batched.contains(node.inputs[0])) return;
  const Tensor* target = draft.constant(node.inputs[1]);
  if (!target || target->dtype != DType::i64 || target->size() == 0) return;
  std::vector<std::int64_t> extents(target->as<std::int64_t>().begin(), target->as<std::int64_t>().end());
  if (extents[0] != 1) return;
  if (node.integer_or("allowzero", 0) != 0) {
    if (std::ranges::count(extents, 0) != 0) draft.fail(node, "makes a tensor without elements");
    node.attributes.erase("allowzero");
  }
  extents[0] = 0;
  node.inputs[1] = draft.add_constant(node, "shape", tensor_of({std::ssize(extents)}, extents));
}

}  // namespace

void normalise(OnnxDraft& draft, Node& node) {
  for (const Moved& moved : kMoved)
    if (node.op == moved.op && draft.opset < moved.before) to_input(draft, node, moved.attribute, moved.position);
  if (node.op == "BatchNormalization") {
    normalise_batch_norm(draft, node);
    keep_first_output(draft, node);
  } else if (node.op == "Dropout") {
    normalise_dropout(draft, node);
    keep_first_output(draft, node);
  } else if (node.op == "Cast") {
    narrow_cast(node);
  } else if (node.op == "Reshape") {
    follow_batch(draft, node);
  } else if (node.op == "Softmax" || node.op == "LogSoftmax" || node.op == "Hardmax") {
    node.attributes["axis"] = node.integer_or("axis", draft.opset < 13 ? 1 : -1);
  }
}

bool gives_half(const Node& node) {
  const std::string_view key = node.op == "Cast" ? "to" : node.op == "DequantizeLinear" ? "output_dtype" : "";
  if (key.empty() || node.outputs.size() != 1) return false;
  const std::optional<DType> type = dtype_of_onnx(node.integer_or(key, 0));
  return type == DType::f16 || type == DType::bf16;
}

bool keeps_batch(const OnnxDraft& draft, const Node& node) {
  if (node.inputs.empty()) return false;
  if (node.op == "Shape" || node.op == "Size" || node.op == "NonZero") return false;
  if (node.op == "Gemm") return node.integer_or("transA", 0) == 0 && draft.batched.contains(node.inputs[0]);
  if (node.op == "Transpose") {
    const std::vector<std::int64_t> order = node.integers_or("perm", {});
    return !order.empty() && order[0] == 0 && draft.batched.contains(node.inputs[0]);
  }
  if (node.op == "Flatten") return node.integer_or("axis", 1) != 0 && draft.batched.contains(node.inputs[0]);
  if (node.op == "Reshape") {
    const Tensor* target = node.inputs.size() > 1 ? draft.constant(node.inputs[1]) : nullptr;
    if (!target || target->dtype != DType::i64 || target->size() == 0) return false;
    return target->as<std::int64_t>()[0] <= 0 && draft.batched.contains(node.inputs[0]);
  }
  if (node.op == "Squeeze" || node.op == "Unsqueeze") {
    const Tensor* axes = node.inputs.size() > 1 ? draft.constant(node.inputs[1]) : nullptr;
    if (!axes || axes->dtype != DType::i64) return false;
    return std::ranges::all_of(axes->as<std::int64_t>(), [](std::int64_t axis) { return axis > 0; }) &&
           draft.batched.contains(node.inputs[0]);
  }
  return std::ranges::any_of(node.inputs, [&](const std::string& name) { return draft.batched.contains(name); });
}

}  // namespace qb
