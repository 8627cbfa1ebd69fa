// Padding at the edges of any axes.
#include <fmt/format.h>

#include <cstring>
#include <numeric>

#include "models/ops.h"

namespace qb {

namespace {

/// Where result position `at` of an axis comes from: an input position, or -1 for the constant.
std::int64_t source_of(std::string_view mode, std::int64_t at, std::int64_t extent) {
  if (at >= 0 && at < extent) return at;
  if (mode == "constant" || extent == 0) return -1;
  if (mode == "edge") return at < 0 ? 0 : extent - 1;
  if (mode == "wrap") return (at % extent + extent) % extent;
  if (extent == 1) return 0;
  const std::int64_t period = 2 * (extent - 1), folded = (at % period + period) % period;
  return folded < extent ? folded : period - folded;
}

struct PadPlan {
  std::size_t element_bytes = 1;
  std::vector<std::vector<std::int64_t>> sources;  ///< per axis and result position
  std::vector<std::int64_t> strides;               ///< of the input

  /// `from` is null once an axis asked for the constant. Returns the end of what was written.
  std::byte* fill(const std::byte* from, std::byte* to, const std::byte* constant, std::size_t axis) const {
    if (axis == sources.size()) {
      std::memcpy(to, from ? from : constant, element_bytes);
      return to + element_bytes;
    }
    for (const std::int64_t source : sources[axis]) {
      const bool inside = from && source >= 0;
      to = fill(inside ? from + source * strides[axis] * std::int64_t(element_bytes) : nullptr, to, constant, axis + 1);
    }
    return to;
  }
};

PlannedOp plan_pad(const OpSite& site) {
  const Shape& shape = site.shape(0);
  const std::string mode = site.node->text_or("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap")
    site.fail(fmt::format("mode '{}' is not known; constant, edge, reflect and wrap are", mode));
  const auto pads = site.integers(1, "pads");
  if (!pads) site.fail("the pads are missing");
  std::vector<std::int64_t> all(shape.size());
  std::iota(all.begin(), all.end(), 0);
  const std::vector<std::size_t> axes = site.axes(site.has(3) ? site.constant_integers(3) : all, std::ssize(shape));
  if (pads->size() != 2 * axes.size()) site.fail(fmt::format("needs {} pads, not {}", 2 * axes.size(), pads->size()));
  if (site.has(2)) {
    site.expect_dtype(2, site.dtype(0));
    site.expect(element_count(site.shape(2)) == 1, "the constant must be one element");
  }

  Shape begin(shape.size(), 0), result = shape;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    constexpr std::int64_t kMost = std::int64_t(1) << 20;
    const std::int64_t before = (*pads)[i], after = (*pads)[axes.size() + i];
    if (before < -kMost || before > kMost || after < -kMost || after > kMost)
      site.fail(fmt::format("the pads {} are out of range", to_text(*pads)));
    begin[axes[i]] = before;
    result[axes[i]] += before + after;
  }
  element_count(result, fmt::format("the output of node '{}' (Pad)", site.node->name));
  PadPlan plan{bytes_of(site.dtype(0)), {}, row_major_strides(shape)};
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    plan.sources.emplace_back();
    for (std::int64_t i = 0; i < result[axis]; ++i)
      plan.sources.back().push_back(source_of(mode, i - begin[axis], shape[axis]));
  }
  std::vector<std::byte> constant(plan.element_bytes);
  if (site.dtype(0) == DType::f32) {
    const float value = site.node->number_or("value", 0.0f);
    std::memcpy(constant.data(), &value, sizeof value);
  }
  PlannedOp planned;
  planned.outputs = {{site.dtype(0), result}};
  planned.run = [plan = std::move(plan), constant = std::move(constant), given = site.has(2)](const OpRun& run) {
    plan.fill(run.inputs[0]->bytes.data(), run.outputs[0]->bytes.data(),
              given ? run.inputs[2]->bytes.data() : constant.data(), 0);
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {{"Pad", 1, 4, 1, plan_pad}};

}  // namespace

std::span<const OperatorInfo> pad_operators() { return kTable; }

}  // namespace qb
