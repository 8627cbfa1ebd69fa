// Operators that name or shape a tensor without moving its elements.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "models/ops.h"

namespace qb {

namespace {

PlannedOp reshaped(const OpSite& site, Shape shape) {
  if (element_count(shape) != element_count(site.shape(0)))
    site.fail(fmt::format("a tensor of shape {} cannot take the shape {}", to_text(site.shape(0)), to_text(shape)));
  PlannedOp planned;
  planned.outputs = {{site.dtype(0), std::move(shape)}};
  planned.reshapes = true;
  planned.run = [](const OpRun& run) { copy_bytes(*run.inputs[0], *run.outputs[0]); };
  return planned;
}

PlannedOp constant_result(Tensor value) {
  PlannedOp planned;
  planned.outputs = {{value.dtype, value.shape}};
  planned.run = [value = std::move(value)](const OpRun& run) { copy_bytes(value, *run.outputs[0]); };
  return planned;
}

PlannedOp plan_identity(const OpSite& site) { return reshaped(site, site.shape(0)); }

/// Inference: nothing is dropped, and the mask is all true.
PlannedOp plan_dropout(const OpSite& site) {
  PlannedOp planned = reshaped(site, site.shape(0));
  if (site.node->outputs.size() < 2) return planned;
  planned.outputs.push_back({DType::boolean, site.shape(0)});
  planned.run = [](const OpRun& run) {
    copy_bytes(*run.inputs[0], *run.outputs[0]);
    if (!run.outputs[1]) return;
    auto* mask = run.outputs[1]->bytes.as<std::uint8_t>();
    std::fill(mask, mask + run.outputs[1]->bytes.size(), std::uint8_t(1));
  };
  return planned;
}

PlannedOp plan_flatten(const OpSite& site) {
  const Shape& shape = site.shape(0);
  const std::size_t axis = site.axis(site.node->integer_or("axis", 1), std::ssize(shape), /*end=*/1);
  const Shape front(shape.begin(), shape.begin() + std::ptrdiff_t(axis)),
      back(shape.begin() + std::ptrdiff_t(axis), shape.end());
  return reshaped(site, {element_count(front), element_count(back)});
}

/// 0 keeps the extent (unless allowzero), one -1 takes what is left.
PlannedOp plan_reshape(const OpSite& site) {
  const auto wanted = site.integers(1, "shape");
  if (!wanted) site.fail("the new shape is missing");
  Shape shape = *wanted;
  const bool keeps_zero = site.node->integer_or("allowzero", 0) != 0;
  std::int64_t open = -1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !keeps_zero) {
      if (i >= site.shape(0).size())
        site.fail(fmt::format("extent {} of {} has no counterpart to be copied", i, to_text(shape)));
      shape[i] = site.shape(0)[i];
    } else if (shape[i] == -1) {
      if (open >= 0) site.fail(fmt::format("the new shape {} has -1 twice", to_text(shape)));
      open = std::int64_t(i);
      shape[i] = 1;
    }
  }
  if (open >= 0) {
    const std::int64_t known = element_count(shape, "the new shape"), all = element_count(site.shape(0));
    if (known == 0 || all % known != 0)
      site.fail(fmt::format("a tensor of shape {} cannot take the shape {}", to_text(site.shape(0)), to_text(*wanted)));
    shape[std::size_t(open)] = all / known;
  }
  return reshaped(site, std::move(shape));
}

PlannedOp plan_squeeze(const OpSite& site) {
  const Shape& shape = site.shape(0);
  std::vector<bool> dropped(shape.size(), false);
  if (const auto listed = site.integers(1, "axes")) {
    for (const std::size_t axis : site.axes(*listed, std::ssize(shape))) {
      if (shape[axis] != 1) site.fail(fmt::format("axis {} of {} is not 1 long", axis, to_text(shape)));
      dropped[axis] = true;
    }
  } else {
    for (std::size_t i = 0; i < shape.size(); ++i) dropped[i] = shape[i] == 1;
  }
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (!dropped[i]) result.push_back(shape[i]);
  return reshaped(site, std::move(result));
}

PlannedOp plan_unsqueeze(const OpSite& site) {
  const auto listed = site.integers(1, "axes");
  if (!listed) site.fail("the axes are missing");
  const std::size_t rank = site.shape(0).size() + listed->size();
  const std::vector<std::size_t> axes = site.axes(*listed, std::int64_t(rank));
  Shape result;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool is_new = std::find(axes.begin(), axes.end(), i) != axes.end();
    result.push_back(is_new ? 1 : site.shape(0)[next++]);
  }
  return reshaped(site, std::move(result));
}

PlannedOp plan_shape(const OpSite& site) {
  const auto rank = std::ssize(site.shape(0));
  const auto clamped = [rank](std::int64_t position) {
    return std::clamp<std::int64_t>(position < 0 ? position + rank : position, 0, rank);
  };
  const std::int64_t start = clamped(site.node->integer_or("start", 0));
  const std::int64_t end = std::max(start, clamped(site.node->integer_or("end", rank)));
  const std::vector<std::int64_t> extents(site.shape(0).begin() + start, site.shape(0).begin() + end);
  return constant_result(tensor_of({end - start}, extents));
}

PlannedOp plan_size(const OpSite& site) {
  return constant_result(tensor_of({}, std::vector<std::int64_t>{element_count(site.shape(0))}));
}

PlannedOp plan_constant(const OpSite& site) {
  const Node& node = *site.node;
  if (const auto found = node.attributes.find("value"); found != node.attributes.end()) {
    const Tensor* value = std::get_if<Tensor>(&found->second);
    if (!value) site.fail("attribute 'value' must be a tensor");
    return constant_result(*value);
  }
  if (node.attributes.contains("value_int"))
    return constant_result(tensor_of({}, std::vector<std::int64_t>{node.integer_or("value_int", 0)}));
  if (node.attributes.contains("value_float"))
    return constant_result(tensor_of({}, std::vector<float>{node.number_or("value_float", 0)}));
  if (node.attributes.contains("value_ints")) {
    const std::vector<std::int64_t> values = node.integers_or("value_ints", {});
    return constant_result(tensor_of({std::ssize(values)}, values));
  }
  site.fail("has none of the attributes value, value_int, value_float and value_ints");
}

PlannedOp plan_constant_of_shape(const OpSite& site) {
  const Shape shape = site.constant_integers(0);
  Tensor value(DType::f32, {1});
  if (const auto found = site.node->attributes.find("value"); found != site.node->attributes.end()) {
    const Tensor* given = std::get_if<Tensor>(&found->second);
    if (!given || given->size() != 1) site.fail("attribute 'value' must be a tensor of one element");
    value = *given;
  }
  PlannedOp planned;
  planned.outputs = {{value.dtype, shape}};
  planned.run = [value](const OpRun& run) {
    const std::size_t step = value.bytes.size();
    for (std::size_t at = 0; at < run.outputs[0]->bytes.size(); at += step)
      std::copy_n(value.bytes.data(), step, run.outputs[0]->bytes.data() + at);
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"Constant", 0, 0, 1, plan_constant}, {"ConstantOfShape", 1, 1, 1, plan_constant_of_shape},
    {"Dropout", 1, 3, 2, plan_dropout},   {"Flatten", 1, 1, 1, plan_flatten},
    {"Identity", 1, 1, 1, plan_identity}, {"Reshape", 1, 2, 1, plan_reshape},
    {"Shape", 1, 1, 1, plan_shape},       {"Size", 1, 1, 1, plan_size},
    {"Squeeze", 1, 2, 1, plan_squeeze},   {"Unsqueeze", 1, 2, 1, plan_unsqueeze},
};

}  // namespace

std::span<const OperatorInfo> shape_operators() { return kTable; }

}  // namespace qb
