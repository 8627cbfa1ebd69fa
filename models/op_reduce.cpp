// Sums, means and extremes over axes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "models/ops.h"

namespace qb {

namespace {

/// Which elements meet in which result: result element r begins at first[r]; members lie at first[r] + member[j].
struct Reduction {
  Shape shape;
  std::vector<std::int64_t> first, member;
};

/// The offsets of all positions of some axes, in row-major order.
std::vector<std::int64_t> offsets_over(const Shape& shape, const std::vector<std::size_t>& axes) {
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  std::vector<std::int64_t> offsets = {0};
  for (const std::size_t axis : axes) {
    std::vector<std::int64_t> longer;
    for (const std::int64_t offset : offsets)
      for (std::int64_t i = 0; i < shape[axis]; ++i) longer.push_back(offset + i * strides[axis]);
    offsets = std::move(longer);
  }
  return offsets;
}

Reduction plan_reduction(const OpSite& site, std::optional<std::vector<std::int64_t>> listed, bool keep) {
  const Shape& shape = site.shape(0);
  const auto rank = std::ssize(shape);
  if (!listed || listed->empty()) {
    const bool nothing = site.node->integer_or("noop_with_empty_axes", 0) != 0;
    listed.emplace(nothing ? 0 : rank);
    std::iota(listed->begin(), listed->end(), 0);
  }
  std::vector<std::size_t> axes = site.axes(*listed, rank), others;
  std::sort(axes.begin(), axes.end());
  Reduction reduction;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), i);
    if (!reduced) others.push_back(i);
    if (!reduced || keep) reduction.shape.push_back(reduced ? 1 : shape[i]);
  }
  reduction.first = offsets_over(shape, others);
  reduction.member = offsets_over(shape, axes);
  return reduction;
}

/// y[r] = last(f(..f(f(start, x0), x1).., xn)) with a float64 accumulator, members in row-major order.
template <class F, class Last>
PlannedOp reduce(const OpSite& site, double start, F f, Last last) {
  site.expect_dtype(0, DType::f32);
  Reduction reduction = plan_reduction(site, site.integers(1, "axes"), site.node->integer_or("keepdims", 1) != 0);
  PlannedOp planned;
  planned.outputs = {{DType::f32, reduction.shape}};
  planned.run = [reduction = std::move(reduction), start, f, last](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    for (std::size_t r = 0; r < reduction.first.size(); ++r) {
      double sum = start;
      for (const std::int64_t offset : reduction.member) sum = f(sum, double(x[reduction.first[r] + offset]));
      y[r] = float(last(sum, double(reduction.member.size())));
    }
  };
  return planned;
}

constexpr auto kPlus = [](double a, double b) { return a + b; };
constexpr auto kUnchanged = [](double sum, double) { return sum; };

PlannedOp plan_sum(const OpSite& site) { return reduce(site, 0.0, kPlus, kUnchanged); }

PlannedOp plan_mean(const OpSite& site) {
  return reduce(site, 0.0, kPlus, [](double sum, double count) { return sum / count; });
}

PlannedOp plan_max(const OpSite& site) {
  return reduce(
      site, -std::numeric_limits<double>::infinity(), [](double a, double b) { return b > a ? b : a; }, kUnchanged);
}

PlannedOp plan_min(const OpSite& site) {
  return reduce(
      site, std::numeric_limits<double>::infinity(), [](double a, double b) { return b < a ? b : a; }, kUnchanged);
}

PlannedOp plan_prod(const OpSite& site) {
  return reduce(
      site, 1.0, [](double a, double b) { return a * b; }, kUnchanged);
}

PlannedOp plan_sum_square(const OpSite& site) {
  return reduce(
      site, 0.0, [](double a, double b) { return a + b * b; }, kUnchanged);
}

PlannedOp plan_l1(const OpSite& site) {
  return reduce(
      site, 0.0, [](double a, double b) { return a + std::abs(b); }, kUnchanged);
}

PlannedOp plan_l2(const OpSite& site) {
  return reduce(
      site, 0.0, [](double a, double b) { return a + b * b; }, [](double sum, double) { return std::sqrt(sum); });
}

/// The position of the extreme; of equal ones the first, or the last with select_last_index.
template <class Better>
PlannedOp extreme_position(const OpSite& site, Better better) {
  site.expect_dtype(0, DType::f32);
  const std::vector<std::int64_t> axis = {site.node->integer_or("axis", 0)};
  const bool last = site.node->integer_or("select_last_index", 0) != 0;
  Reduction reduction = plan_reduction(site, axis, site.node->integer_or("keepdims", 1) != 0);
  PlannedOp planned;
  planned.outputs = {{DType::i64, reduction.shape}};
  planned.run = [reduction = std::move(reduction), last, better](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    std::int64_t* y = run.outputs[0]->as<std::int64_t>().data();
    for (std::size_t r = 0; r < reduction.first.size(); ++r) {
      const float* row = x + reduction.first[r];
      std::size_t best = 0;
      for (std::size_t j = 1; j < reduction.member.size(); ++j) {
        const float candidate = row[reduction.member[j]], held = row[reduction.member[best]];
        if (better(candidate, held) || (last && candidate == held)) best = j;
      }
      y[r] = std::int64_t(best);
    }
  };
  return planned;
}

PlannedOp plan_arg_max(const OpSite& site) { return extreme_position(site, std::greater<>()); }
PlannedOp plan_arg_min(const OpSite& site) { return extreme_position(site, std::less<>()); }

constexpr OperatorInfo kTable[] = {
    {"ArgMax", 1, 1, 1, plan_arg_max}, {"ArgMin", 1, 1, 1, plan_arg_min},
    {"ReduceL1", 1, 2, 1, plan_l1},    {"ReduceL2", 1, 2, 1, plan_l2},
    {"ReduceMax", 1, 2, 1, plan_max},  {"ReduceMean", 1, 2, 1, plan_mean},
    {"ReduceMin", 1, 2, 1, plan_min},  {"ReduceProd", 1, 2, 1, plan_prod},
    {"ReduceSum", 1, 2, 1, plan_sum},  {"ReduceSumSquare", 1, 2, 1, plan_sum_square},
};

}  // namespace

std::span<const OperatorInfo> reduce_operators() { return kTable; }

}  // namespace qb
