// Operators that copy elements from one place to another, whatever their type.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "models/ops.h"

namespace qb {

namespace {

/// Copies a box of elements from strided to strided places; the innermost run is one memcpy where both are dense.
struct StridedCopy {
  std::size_t element_bytes = 1;
  Shape extents;
  std::vector<std::int64_t> from_steps, to_steps;  ///< in elements
  std::int64_t from_offset = 0, to_offset = 0;

  void operator()(const Tensor& from, Tensor& to) const {
    if (element_count(extents) == 0) return;
    walk(from.bytes.data() + from_offset * std::int64_t(element_bytes),
         to.bytes.data() + to_offset * std::int64_t(element_bytes), 0);
  }

 private:
  void walk(const std::byte* from, std::byte* to, std::size_t axis) const {
    const auto bytes = std::int64_t(element_bytes);
    if (axis == extents.size()) {
      std::memcpy(to, from, element_bytes);
    } else if (axis + 1 == extents.size() && from_steps[axis] == 1 && to_steps[axis] == 1) {
      std::memcpy(to, from, std::size_t(extents[axis] * bytes));
    } else if (axis + 1 == extents.size() && element_bytes == 4) {
      for (std::int64_t i = 0; i < extents[axis]; ++i)
        std::memcpy(to + i * to_steps[axis] * 4, from + i * from_steps[axis] * 4, 4);
    } else {
      for (std::int64_t i = 0; i < extents[axis]; ++i)
        walk(from + i * from_steps[axis] * bytes, to + i * to_steps[axis] * bytes, axis + 1);
    }
  }
};

/// One copy per input or output, all of the same node.
PlannedOp copying(std::vector<OpOutput> outputs, std::vector<StridedCopy> copies, bool from_many) {
  PlannedOp planned;
  planned.outputs = std::move(outputs);
  planned.run = [copies = std::move(copies), from_many](const OpRun& run) {
    for (std::size_t i = 0; i < copies.size(); ++i) {
      Tensor* to = run.outputs[from_many ? 0 : i];
      if (to) copies[i](*run.inputs[from_many ? i : 0], *to);
    }
  };
  return planned;
}

PlannedOp plan_transpose(const OpSite& site) {
  const Shape& shape = site.shape(0);
  std::vector<std::int64_t> reversed(shape.size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  const std::vector<std::size_t> order = site.axes(site.node->integers_or("perm", reversed), std::ssize(shape));
  site.expect(order.size() == shape.size(), "perm must name every axis once");
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  StridedCopy copy{bytes_of(site.dtype(0)), {}, {}, {}, 0, 0};
  for (const std::size_t axis : order) {
    copy.extents.push_back(shape[axis]);
    copy.from_steps.push_back(strides[axis]);
  }
  copy.to_steps = row_major_strides(copy.extents);
  return copying({{site.dtype(0), copy.extents}}, {copy}, false);
}

PlannedOp plan_concat(const OpSite& site) {
  Shape shape = site.shape(0);
  const std::size_t axis = site.axis(site.node->integer_or("axis", 1), std::ssize(shape));
  shape[axis] = 0;
  for (std::size_t i = 0; i < site.inputs.size(); ++i) {
    site.expect_dtype(i, site.dtype(0));
    Shape rest = site.shape(i);
    if (rest.size() != shape.size()) site.fail("inputs differ in rank");
    const std::int64_t extent = std::exchange(rest[axis], shape[axis]);
    if (rest != shape)
      site.fail(fmt::format("input {} of shape {} does not fit the others", i, to_text(site.shape(i))));
    shape[axis] += extent;
  }
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  std::vector<StridedCopy> copies;
  std::int64_t begin = 0;
  for (const OpInput& input : site.inputs) {
    copies.push_back(
        {bytes_of(site.dtype(0)), input.shape, row_major_strides(input.shape), strides, 0, begin * strides[axis]});
    begin += input.shape[axis];
  }
  return copying({{site.dtype(0), shape}}, std::move(copies), true);
}

std::vector<std::int64_t> split_lengths(const OpSite& site, std::int64_t extent) {
  if (const auto listed = site.integers(1, "split")) {
    if (listed->size() != site.node->outputs.size() ||
        std::accumulate(listed->begin(), listed->end(), std::int64_t(0)) != extent ||
        std::any_of(listed->begin(), listed->end(), [](std::int64_t part) { return part < 0; }))
      site.fail(fmt::format("the parts {} do not cut an axis of {} into {}", to_text(*listed), extent,
                            site.node->outputs.size()));
    return *listed;
  }
  const std::int64_t parts = std::ssize(site.node->outputs), each = (extent + parts - 1) / parts;
  std::vector<std::int64_t> lengths(std::size_t(parts), each);
  lengths.back() = extent - each * (parts - 1);
  site.expect(lengths.back() >= 0, "the axis is too short for so many parts");
  return lengths;
}

PlannedOp plan_split(const OpSite& site) {
  const Shape& shape = site.shape(0);
  const std::size_t axis = site.axis(site.node->integer_or("axis", 0), std::ssize(shape));
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  std::vector<OpOutput> outputs;
  std::vector<StridedCopy> copies;
  std::int64_t begin = 0;
  for (const std::int64_t length : split_lengths(site, shape[axis])) {
    Shape part = shape;
    part[axis] = length;
    copies.push_back({bytes_of(site.dtype(0)), part, strides, row_major_strides(part), begin * strides[axis], 0});
    outputs.push_back({site.dtype(0), part});
    begin += length;
  }
  return copying(std::move(outputs), std::move(copies), false);
}

/// Source: ONNX, Slice: negative positions count from the end, then positions are clamped to the axis.
PlannedOp plan_slice(const OpSite& site) {
  const Shape& shape = site.shape(0);
  const auto starts = site.integers(1, "starts"), ends = site.integers(2, "ends"), steps = site.integers(4, "steps");
  if (!starts || !ends || starts->size() != ends->size()) site.fail("needs as many starts as ends");
  std::vector<std::int64_t> all(starts->size());
  std::iota(all.begin(), all.end(), 0);
  const std::vector<std::size_t> axes = site.axes(site.integers(3, "axes").value_or(all), std::ssize(shape));
  if (axes.size() != starts->size() || (steps && steps->size() != starts->size()))
    site.fail("needs as many axes and steps as starts");

  StridedCopy copy{bytes_of(site.dtype(0)), shape, row_major_strides(shape), {}, 0, 0};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t extent = shape[axes[i]], step = steps ? (*steps)[i] : 1;
    if (step == 0 || step == std::numeric_limits<std::int64_t>::min())
      site.fail(fmt::format("step {} is not possible", step));
    const auto place = [&](std::int64_t position, std::int64_t low, std::int64_t high) {
      return std::clamp(position < 0 ? position + extent : position, low, high);
    };
    const std::int64_t start = place((*starts)[i], 0, step > 0 ? extent : extent - 1);
    const std::int64_t end = step > 0 ? place((*ends)[i], 0, extent) : place((*ends)[i], -1, extent - 1);
    const std::int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    copy.extents[axes[i]] = span > 0 ? (span - 1) / stride + 1 : 0;
    if (copy.extents[axes[i]] > 0) copy.from_offset += start * copy.from_steps[axes[i]];
    copy.from_steps[axes[i]] *= copy.extents[axes[i]] > 1 ? step : 1;
  }
  copy.to_steps = row_major_strides(copy.extents);
  return copying({{site.dtype(0), copy.extents}}, {copy}, false);
}

PlannedOp plan_expand(const OpSite& site) {
  const std::vector<OpInput> both = {site.inputs[0], {true, DType::i64, site.constant_integers(1), nullptr}};
  const Shape shape = broadcast_shape(site, both), &from = site.shape(0);
  const std::vector<std::int64_t> strides = row_major_strides(from);
  StridedCopy copy{bytes_of(site.dtype(0)),  shape, std::vector<std::int64_t>(shape.size(), 0),
                   row_major_strides(shape), 0,     0};
  const std::size_t lead = shape.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) copy.from_steps[lead + i] = from[i] == 1 ? 0 : strides[i];
  return copying({{site.dtype(0), shape}}, {copy}, false);
}

/// y = x[.., indices, ..] along an axis; an index outside it counts as the nearest inside, as no run may fail on data.
PlannedOp plan_gather(const OpSite& site) {
  const Shape &data = site.shape(0), &indices = site.shape(1);
  const std::size_t axis = site.axis(site.node->integer_or("axis", 0), std::ssize(data));
  const bool wide = site.dtype(1) == DType::i64;
  if (!wide) site.expect_dtype(1, DType::i32);
  Shape shape(data.begin(), data.begin() + std::ptrdiff_t(axis));
  const std::int64_t outer = element_count(shape), extent = data[axis];
  const std::int64_t inner = element_count(Shape(data.begin() + std::ptrdiff_t(axis) + 1, data.end()));
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + std::ptrdiff_t(axis) + 1, data.end());
  const std::int64_t count = element_count(indices), run_bytes = inner * std::int64_t(bytes_of(site.dtype(0)));
  if (extent == 0 && count > 0) site.fail("cannot take from an axis of no elements");

  PlannedOp planned;
  planned.outputs = {{site.dtype(0), shape}};
  planned.run = [=](const OpRun& run) {
    const std::byte* from = run.inputs[0]->bytes.data();
    std::byte* to = run.outputs[0]->bytes.data();
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t i = 0; i < count; ++i, to += run_bytes) {
        std::int64_t index =
            wide ? run.inputs[1]->bytes.as<std::int64_t>()[i] : run.inputs[1]->bytes.as<std::int32_t>()[i];
        index = std::clamp<std::int64_t>(index < 0 ? index + extent : index, 0, extent - 1);
        if (run_bytes > 0) std::memcpy(to, from + (o * extent + index) * run_bytes, std::size_t(run_bytes));
      }
    }
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"Concat", 1, kMany, 1, plan_concat}, {"Expand", 2, 2, 1, plan_expand},   {"Gather", 2, 2, 1, plan_gather},
    {"Slice", 1, 5, 1, plan_slice},       {"Split", 1, 2, kMany, plan_split}, {"Transpose", 1, 1, 1, plan_transpose},
};

}  // namespace

std::span<const OperatorInfo> movement_operators() { return kTable; }

}  // namespace qb
