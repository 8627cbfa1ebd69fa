#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/base/text.h"
#include "models/executor.h"
#include "models/ops.h"

namespace qb {

namespace {

using Group = std::span<const OperatorInfo> (*)();
constexpr Group kGroups[] = {cast_operators,    unary_operators,    binary_operators, logic_operators,
                             product_operators, pool_operators,     norm_operators,   reduce_operators,
                             shape_operators,   movement_operators, pad_operators,    quantize_operators,
                             integer_operators, transform_operators, attention_operators};

/// Integers of any width as int64.
std::vector<std::int64_t> integers_of(const Tensor& tensor, const OpSite& site, std::size_t input) {
  const auto widen = [](auto values) { return std::vector<std::int64_t>(values.begin(), values.end()); };
  switch (tensor.dtype) {
    case DType::i64: return widen(tensor.as<std::int64_t>());
    case DType::i32: return widen(tensor.as<std::int32_t>());
    default:
      site.fail(fmt::format("input {} must hold integers of 32 or 64 bits, not {}", input, name_of(tensor.dtype)));
  }
}

}  // namespace

const OperatorInfo* find_operator(std::string_view name) {
  for (const Group group : kGroups)
    for (const OperatorInfo& row : group())
      if (row.name == name) return &row;
  return nullptr;
}

std::vector<std::string> operator_names() {
  std::vector<std::string> names;
  for (const Group group : kGroups)
    for (const OperatorInfo& row : group()) names.emplace_back(row.name);
  std::sort(names.begin(), names.end());
  return names;
}

PlannedOp plan_operator(const Node& node, int opset, std::vector<OpInput> inputs) {
  const OperatorInfo* row = find_operator(node.op);
  if (!row)
    throw DataError(fmt::format("node '{}': operator '{}' is not known{}", node.name, node.op,
                                suggestion(node.op, operator_names())));
  OpSite site{&node, opset, std::move(inputs)};
  const auto given = std::ssize(site.inputs);
  if (given > row->max_inputs)
    site.fail(fmt::format("has {} inputs but the operator takes at most {}", given, row->max_inputs));
  for (std::int64_t i = 0; i < row->min_inputs; ++i)
    if (i >= given || !site.inputs[std::size_t(i)].given) site.fail(fmt::format("input {} is missing", i));
  if (std::ssize(node.outputs) > row->max_outputs || node.outputs.empty())
    site.fail(fmt::format("has {} outputs but the operator gives 1 to {}", node.outputs.size(), row->max_outputs));
  if (row->max_inputs != kMany) site.inputs.resize(std::size_t(row->max_inputs));
  PlannedOp planned = row->plan(site);
  QB_EXPECTS(planned.run && planned.outputs.size() >= node.outputs.size());
  for (const OpOutput& output : planned.outputs)
    element_count(output.shape, fmt::format("the output of node '{}' ({})", node.name, node.op));
  return planned;
}

std::vector<Tensor> evaluate_node(const Node& node, int opset, std::span<const Tensor* const> inputs) {
  std::vector<OpInput> known;
  for (const Tensor* tensor : inputs)
    known.push_back(tensor ? OpInput{true, tensor->dtype, tensor->shape, tensor} : OpInput{});
  const PlannedOp planned = plan_operator(node, opset, std::move(known));
  std::vector<Tensor> outputs;
  for (const OpOutput& output : planned.outputs) outputs.emplace_back(output.dtype, output.shape);
  std::vector<Tensor*> pointers;
  for (Tensor& output : outputs) pointers.push_back(&output);
  planned.run({inputs, pointers, 1});
  return outputs;
}

void OpSite::fail(std::string_view fault) const {
  throw DataError(fmt::format("node '{}' ({}): {}", node->name, node->op, fault));
}

void OpSite::expect(bool condition, std::string_view fault) const {
  if (!condition) fail(fault);
}

void OpSite::expect_dtype(std::size_t input, DType wanted) const {
  if (dtype(input) != wanted)
    fail(fmt::format("input {} is {} but must be {}", input, name_of(dtype(input)), name_of(wanted)));
}

std::vector<std::int64_t> OpSite::constant_integers(std::size_t input) const {
  const OpInput& value = inputs[input];
  if (!value.given || !value.constant)
    fail(fmt::format("input {} must be a constant, because shapes must not depend on data", input));
  return integers_of(*value.constant, *this, input);
}

std::optional<std::vector<std::int64_t>> OpSite::integers(std::size_t input, std::string_view attribute) const {
  if (input < inputs.size() && inputs[input].given) return constant_integers(input);
  if (!node->attributes.contains(attribute)) return std::nullopt;
  return node->integers_or(attribute, {});
}

std::size_t OpSite::axis(std::int64_t axis, std::int64_t rank, std::int64_t end) const {
  if (axis < -rank || axis >= rank + end) fail(fmt::format("axis {} is outside a tensor of rank {}", axis, rank));
  return std::size_t(axis < 0 ? axis + rank : axis);
}

std::vector<std::size_t> OpSite::axes(const std::vector<std::int64_t>& list, std::int64_t rank) const {
  std::vector<std::size_t> result;
  for (const std::int64_t entry : list) {
    const std::size_t resolved = axis(entry, rank);
    if (std::find(result.begin(), result.end(), resolved) != result.end())
      fail(fmt::format("axis {} is listed twice", entry));
    result.push_back(resolved);
  }
  return result;
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Shape broadcast_shape(const OpSite& site, std::span<const OpInput> inputs) {
  Shape result;
  for (const OpInput& input : inputs) {
    if (input.shape.size() > result.size()) result.insert(result.begin(), input.shape.size() - result.size(), 1);
    const std::size_t lead = result.size() - input.shape.size();
    for (std::size_t i = 0; i < input.shape.size(); ++i) {
      std::int64_t& extent = result[lead + i];
      if (extent == 1) {
        extent = input.shape[i];
      } else if (input.shape[i] != 1 && input.shape[i] != extent) {
        site.fail(fmt::format("an input of shape {} cannot be broadcast to {}", to_text(input.shape), to_text(result)));
      }
    }
  }
  return result;
}

void copy_bytes(const Tensor& from, Tensor& to) {
  QB_EXPECTS(from.bytes.size() == to.bytes.size());
  if (from.bytes.data() != to.bytes.data() && from.bytes.size() > 0)
    std::memcpy(to.bytes.data(), from.bytes.data(), from.bytes.size());
}

}  // namespace qb
