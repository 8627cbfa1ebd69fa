// Reads an ONNX file in one pass over its nodes. Source: ONNX IR specification (onnx.ai/onnx/repo-docs/IR.html).
#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "models/element_types.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/import/constant_node.h"
#include "models/import/file_shape.h"
#include "models/import/onnx.pb.h"
#include "models/import/onnx_draft.h"
#include "models/import/onnx_tensor.h"
#include "models/import/used_weights.h"

namespace qb {

void OnnxDraft::fail(const Node& node, std::string_view fault) const {
  throw DataError(fmt::format("{}: node '{}' ({}) {}", where, node.name, node.op, fault));
}

const Tensor* OnnxDraft::constant(std::string_view name) const {
  const auto found = model.weights.find(name);
  return found == model.weights.end() ? nullptr : std::get_if<Tensor>(&found->second);
}

namespace {

/// `wish`, or `wish` with a number, whichever `names` lacks; it has it afterwards.
std::string unique_name(std::set<std::string, std::less<>>& names, std::string wish) {
  if (names.insert(wish).second) return wish;
  for (std::size_t i = names.size();; ++i)
    if (std::string name = fmt::format("{}_{}", wish, i); names.insert(name).second) return name;
}

}  // namespace

std::string OnnxDraft::add_constant(const Node& node, std::string_view what, Tensor value) {
  std::string name = unique_name(taken, fmt::format("{}.{}", node.name, what));
  model.weights[name] = std::move(value);
  return name;
}

namespace {

constexpr int kOldestOpset = 7, kNewestOpset = 25;
constexpr std::size_t kLongestName = 4096;

std::string checked_name(const std::string& name, const OnnxDraft& draft) {
  if (name.size() > kLongestName || !valid_utf8(name))
    throw DataError(fmt::format("{}: a name is not UTF-8 or longer than {} bytes", draft.where, kLongestName));
  return name;
}

int default_opset(const onnx_wire::ModelProto& file, const std::string& where) {
  for (const auto& entry : file.opset_import()) {
    if (!entry.domain().empty() && entry.domain() != "ai.onnx") continue;
    if (entry.version() < kOldestOpset || entry.version() > kNewestOpset)
      throw DataError(
          fmt::format("{}: uses opset {}; accepted are {} to {}", where, entry.version(), kOldestOpset, kNewestOpset));
    return int(entry.version());
  }
  throw DataError(fmt::format("{}: names no opset of the default domain; accepted are {} to {}", where, kOldestOpset,
                              kNewestOpset));
}

/// Everything that exists or will exist by name, so that names made up here differ from all of them.
void collect_names(OnnxDraft& draft, const onnx_wire::GraphProto& graph) {
  for (const auto& tensor : graph.initializer()) draft.taken.insert(tensor.name());
  for (const auto& input : graph.input()) draft.taken.insert(input.name());
  for (const auto& node : graph.node()) {
    for (const std::string& output : node.output()) draft.taken.insert(output);
  }
}

void add_initializers(OnnxDraft& draft, const onnx_wire::GraphProto& graph) {
  if (graph.sparse_initializer_size() > 0)
    throw DataError(fmt::format("{}: holds sparse tensors, which are not read", draft.where));
  for (const auto& wire : graph.initializer()) {
    const std::string name = checked_name(wire.name(), draft);
    if (name.empty()) throw DataError(fmt::format("{}: an initializer has no name", draft.where));
    Tensor tensor = as_computed(tensor_from_wire(wire, fmt::format("{}: initializer '{}'", draft.where, name)));
    if (!draft.model.weights.emplace(name, std::move(tensor)).second)
      throw DataError(fmt::format("{}: two initializers are called '{}'", draft.where, name));
  }
}

/// Half and double inputs are fed and computed in float32.
ValueInfo read_input(const OnnxDraft& draft, const onnx_wire::ValueInfoProto& wire) {
  ValueInfo input;
  input.name = checked_name(wire.name(), draft);
  const std::string where = fmt::format("{}: input '{}'", draft.where, input.name);
  if (input.name.empty() || !wire.type().has_tensor_type())
    throw DataError(fmt::format("{} is not a named tensor", where));
  const auto& type = wire.type().tensor_type();
  const std::optional<DType> dtype = dtype_of_onnx(type.elem_type());
  if (!dtype)
    throw DataError(fmt::format("{} has type {}, which is not read", where, onnx_type_name(type.elem_type())));
  input.dtype = as_computed(Tensor(*dtype, {0})).dtype;
  if (!type.has_shape()) throw DataError(fmt::format("{} has no shape", where));
  for (const auto& extent : type.shape().dim()) {
    const bool first = input.shape.empty();
    const bool known = extent.has_dim_value() && extent.dim_value() > 0;
    if (!known && !first)
      throw DataError(
          fmt::format("{} leaves extent {} open; only the first, the batch, may be", where, input.shape.size()));
    input.shape.push_back(!known || (first && extent.dim_value() == 1) ? -1 : extent.dim_value());
  }
  Shape sample = input.shape;
  if (!sample.empty() && sample[0] == -1) sample[0] = 1;
  check_file_shape(sample, where);
  return input;
}

void add_inputs(OnnxDraft& draft, const onnx_wire::GraphProto& graph) {
  std::set<std::string, std::less<>> seen;
  for (const auto& wire : graph.input()) {
    if (draft.model.weights.contains(wire.name())) continue;  // before IR 4 every initializer was an input too
    ValueInfo input = read_input(draft, wire);
    if (!seen.insert(input.name).second)
      throw DataError(fmt::format("{}: two inputs are called '{}'", draft.where, input.name));
    if (!input.shape.empty() && input.shape[0] == -1) draft.batched.insert(input.name);
    draft.model.graph.inputs.push_back(std::move(input));
  }
  if (draft.model.graph.inputs.empty()) throw DataError(fmt::format("{}: the graph has no inputs", draft.where));
}

Attribute read_attribute(const OnnxDraft& draft, const Node& node, const onnx_wire::AttributeProto& wire) {
  switch (wire.type()) {
    case 1: return wire.f();
    case 2: return std::int64_t(wire.i());
    case 3:
      if (!valid_utf8(wire.s())) draft.fail(node, "has a text that is not UTF-8");
      return wire.s();
    case 4: return tensor_from_wire(wire.t(), fmt::format("{}: node '{}' ({})", draft.where, node.name, node.op));
    case 5: draft.fail(node, "holds a graph of its own, which is not executed");
    case 6: return std::vector<float>(wire.floats().begin(), wire.floats().end());
    case 7: return std::vector<std::int64_t>(wire.ints().begin(), wire.ints().end());
    default: break;
  }
  draft.fail(node, fmt::format("has the attribute '{}' of a type that is not read; accepted are numbers, texts, lists "
                               "of numbers and tensors",
                               wire.name().substr(0, 80)));
}

Node read_node(OnnxDraft& draft, const onnx_wire::NodeProto& wire, int index) {
  Node node;
  node.op = checked_name(wire.op_type(), draft);
  const std::string given = checked_name(wire.name(), draft);
  node.name = unique_name(draft.node_names, given.empty() ? fmt::format("{}_{}", node.op, index) : given);
  if (!wire.domain().empty() && wire.domain() != "ai.onnx")
    draft.fail(node, fmt::format("belongs to the domain '{}'; accepted is the default domain only",
                                 checked_name(wire.domain(), draft)));
  for (const std::string& name : wire.input()) {
    const auto alias = draft.alias.find(name);
    node.inputs.push_back(alias == draft.alias.end() ? checked_name(name, draft) : alias->second);
  }
  for (const std::string& name : wire.output()) node.outputs.push_back(checked_name(name, draft));
  for (const auto& attribute : wire.attribute()) {
    const std::string name = checked_name(attribute.name(), draft);
    if (!node.attributes.emplace(name, read_attribute(draft, node, attribute)).second)
      draft.fail(node, fmt::format("has two attributes called '{}'", name));
  }
  return node;
}

/// A node in its final form: folded if it is constant, otherwise the last of the graph.
void keep_node(OnnxDraft& draft, Node node, const std::vector<std::string>& operators) {
  if (!std::ranges::binary_search(operators, node.op) && node.op != "Identity")
    draft.fail(node, fmt::format("is an operator that is not known{}", suggestion(node.op, operators)));
  if (fold(draft, node)) return;
  if (keeps_batch(draft, node)) draft.batched.insert(node.outputs.begin(), node.outputs.end());
  draft.model.graph.nodes.push_back(std::move(node));
}

/// Takes one node in: checked, brought to one form, kept. Results of half precision are rounded to it, then widened.
void take_node(OnnxDraft& draft, std::set<std::string, std::less<>>& defined, Node node,
               const std::vector<std::string>& operators) {
  for (const std::string& name : node.inputs)
    if (!name.empty() && !defined.contains(name))
      draft.fail(node, fmt::format("reads '{}', which nothing before it defines", name));
  const bool any_output = std::ranges::any_of(node.outputs, [](const std::string& name) { return !name.empty(); });
  if (!any_output) draft.fail(node, "has no outputs");
  for (const std::string& name : node.outputs)
    if (!name.empty() && !defined.insert(name).second)
      draft.fail(node, fmt::format("defines '{}', which exists already", name));
  if (node.op == "Constant") {
    if (node.outputs.size() != 1) draft.fail(node, "has more than one output");
    draft.model.weights[node.outputs[0]] = as_computed(constant_value(node, draft.where));
    return;
  }
  normalise(draft, node);
  for (const std::string& name : node.inputs) defined.insert(name);  // constants that normalise added
  if (gives_half(node)) {
    Node widened{unique_name(draft.node_names, node.name + ".widened"), "Cast", {}, node.outputs, {}, {}};
    widened.attributes["to"] = onnx_number_of(DType::f32);
    node.outputs[0] = unique_name(draft.taken, node.name + ".half");
    widened.inputs = {node.outputs[0]};
    keep_node(draft, std::move(node), operators);
    return keep_node(draft, std::move(widened), operators);
  }
  keep_node(draft, std::move(node), operators);
}
void add_nodes(OnnxDraft& draft, const onnx_wire::GraphProto& graph) {
  std::set<std::string, std::less<>> defined;
  for (const auto& [name, weight] : draft.model.weights) defined.insert(name);
  for (const ValueInfo& input : draft.model.graph.inputs) defined.insert(input.name);
  const std::vector<std::string> operators = operator_names();
  for (int i = 0; i < graph.node_size(); ++i) take_node(draft, defined, read_node(draft, graph.node(i), i), operators);
  if (draft.model.graph.nodes.empty()) throw DataError(fmt::format("{}: the graph computes nothing", draft.where));

  std::set<std::string_view> computed;
  for (const Node& node : draft.model.graph.nodes) computed.insert(node.outputs.begin(), node.outputs.end());
  for (const auto& wire : graph.output()) {
    const auto alias = draft.alias.find(wire.name());
    const std::string name = alias == draft.alias.end() ? wire.name() : alias->second;
    if (name.empty() || !computed.contains(name))
      throw DataError(
          fmt::format("{}: output '{}' is not computed by any node", draft.where, checked_name(wire.name(), draft)));
    draft.model.graph.outputs.push_back(name);
  }
  if (draft.model.graph.outputs.empty()) throw DataError(fmt::format("{}: the graph has no outputs", draft.where));
}

}  // namespace

Model read_onnx(std::string_view bytes, std::string_view where) {
  onnx_wire::ModelProto file;
  constexpr std::size_t kMost = std::size_t(1) << 31;
  if (bytes.size() >= kMost)
    throw DataError(fmt::format("{}: has {} bytes; an ONNX file has less than 2 GiB", where, bytes.size()));
  if (!file.ParseFromArray(bytes.data(), int(bytes.size())) || !file.has_graph())
    throw DataError(fmt::format("{}: not an ONNX model (a protobuf ModelProto with a graph), or cut short", where));
  if (file.functions_size() > 0)
    throw DataError(fmt::format("{}: holds functions of its own, which are not executed", where));
  OnnxDraft draft;
  draft.where = where;
  draft.opset = default_opset(file, draft.where);
  draft.fold_budget = 16 * std::uint64_t(bytes.size()) + (std::uint64_t(64) << 20);
  draft.model.graph.opset = draft.opset;
  draft.model.name = checked_name(file.graph().name(), draft);
  collect_names(draft, file.graph());
  add_initializers(draft, file.graph());
  add_inputs(draft, file.graph());
  add_nodes(draft, file.graph());
  keep_used_weights(draft.model);
  check_graph(draft.model);
  return std::move(draft.model);
}

}  // namespace qb
