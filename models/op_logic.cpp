// Comparisons, boolean functions and the choice between two tensors. Booleans are bytes 0 and 1.
#include <fmt/format.h>

#include <functional>

#include "models/broadcast.h"
#include "models/ops.h"

namespace qb {

namespace {

/// y = f(a, b) with y boolean; T is how the operands lie in memory.
template <class T, class F>
PlannedOp decide(const OpSite& site, F f) {
  const Shape shape = broadcast_shape(site, site.inputs);
  PlannedOp planned;
  planned.outputs = {{DType::boolean, shape}};
  const bool empty = element_count(shape) == 0;
  planned.run = [f, empty, walk = plan_walk(shape, {site.shape(0), site.shape(1)})](const OpRun& run) {
    if (empty) return;
    const T* a = run.inputs[0]->bytes.as<T>();
    const T* b = run.inputs[1]->bytes.as<T>();
    auto* y = run.outputs[0]->bytes.as<std::uint8_t>();
    for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
      for (std::int64_t i = 0; i < walk.inner; ++i)
        y[at + i] = f(a[offset[0] + i * walk.inner_step[0]], b[offset[1] + i * walk.inner_step[1]]) ? 1 : 0;
    });
  };
  return planned;
}

template <class F>
PlannedOp compare(const OpSite& site, F f) {
  site.expect_dtype(1, site.dtype(0));
  switch (site.dtype(0)) {
    case DType::f32: return decide<float>(site, f);
    case DType::f64: return decide<double>(site, f);
    case DType::i32: return decide<std::int32_t>(site, f);
    case DType::i64: return decide<std::int64_t>(site, f);
    case DType::u8:
    case DType::boolean: return decide<std::uint8_t>(site, f);
    default: site.fail(fmt::format("elements of type {} are not supported", name_of(site.dtype(0))));
  }
}

template <class F>
PlannedOp combine(const OpSite& site, F f) {
  site.expect_dtype(0, DType::boolean);
  site.expect_dtype(1, DType::boolean);
  return decide<std::uint8_t>(site, f);
}

PlannedOp plan_equal(const OpSite& site) { return compare(site, std::equal_to<>()); }
PlannedOp plan_less(const OpSite& site) { return compare(site, std::less<>()); }
PlannedOp plan_less_or_equal(const OpSite& site) { return compare(site, std::less_equal<>()); }
PlannedOp plan_greater(const OpSite& site) { return compare(site, std::greater<>()); }
PlannedOp plan_greater_or_equal(const OpSite& site) { return compare(site, std::greater_equal<>()); }
PlannedOp plan_and(const OpSite& site) { return combine(site, std::logical_and<>()); }
PlannedOp plan_or(const OpSite& site) { return combine(site, std::logical_or<>()); }
PlannedOp plan_xor(const OpSite& site) { return combine(site, std::not_equal_to<>()); }

PlannedOp plan_not(const OpSite& site) {
  site.expect_dtype(0, DType::boolean);
  PlannedOp planned;
  planned.outputs = {{DType::boolean, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [](const OpRun& run) {
    const auto* x = run.inputs[0]->bytes.as<std::uint8_t>();
    auto* y = run.outputs[0]->bytes.as<std::uint8_t>();
    for (std::size_t i = 0; i < run.outputs[0]->bytes.size(); ++i) y[i] = x[i] == 0;
  };
  return planned;
}

template <class T>
PlannedOp choose_elements(const OpSite& site, const Shape& shape) {
  PlannedOp planned;
  planned.outputs = {{site.dtype(1), shape}};
  const bool empty = element_count(shape) == 0;
  planned.run = [empty, walk = plan_walk(shape, {site.shape(0), site.shape(1), site.shape(2)})](const OpRun& run) {
    if (empty) return;
    const auto* condition = run.inputs[0]->bytes.as<std::uint8_t>();
    const T* yes = run.inputs[1]->bytes.as<T>();
    const T* no = run.inputs[2]->bytes.as<T>();
    T* y = run.outputs[0]->bytes.as<T>();
    for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
      for (std::int64_t i = 0; i < walk.inner; ++i)
        y[at + i] = condition[offset[0] + i * walk.inner_step[0]] ? yes[offset[1] + i * walk.inner_step[1]]
                                                                  : no[offset[2] + i * walk.inner_step[2]];
    });
  };
  return planned;
}

PlannedOp plan_where(const OpSite& site) {
  site.expect_dtype(0, DType::boolean);
  site.expect_dtype(2, site.dtype(1));
  const Shape shape = broadcast_shape(site, site.inputs);
  switch (bytes_of(site.dtype(1))) {
    case 1: return choose_elements<std::uint8_t>(site, shape);
    case 2: return choose_elements<std::uint16_t>(site, shape);
    case 4: return choose_elements<std::uint32_t>(site, shape);
    default: return choose_elements<std::uint64_t>(site, shape);
  }
}

constexpr OperatorInfo kTable[] = {
    {"And", 2, 2, 1, plan_and},         {"Equal", 2, 2, 1, plan_equal},
    {"Greater", 2, 2, 1, plan_greater}, {"GreaterOrEqual", 2, 2, 1, plan_greater_or_equal},
    {"Less", 2, 2, 1, plan_less},       {"LessOrEqual", 2, 2, 1, plan_less_or_equal},
    {"Not", 1, 1, 1, plan_not},         {"Or", 2, 2, 1, plan_or},
    {"Where", 3, 3, 1, plan_where},     {"Xor", 2, 2, 1, plan_xor},
};

}  // namespace

std::span<const OperatorInfo> logic_operators() { return kTable; }

}  // namespace qb
