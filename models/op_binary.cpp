// Arithmetic on two (or many) operands with broadcasting.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <type_traits>

#include "kernels/base/parallel.h"
#include "models/broadcast.h"
#include "models/ops.h"

namespace qb {

namespace {

/// y[i] = f(a[i * a_step], b[i * b_step]); the steps are made constants so that every case is vectorized.
template <class T, class F>
void inner_loop(std::int64_t count, const T* a, std::int64_t a_step, const T* b, std::int64_t b_step, T* y, F f) {
  if (a_step == 1 && b_step == 1) {
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
  } else if (a_step == 1) {
    const T right = *b;
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], right);
  } else if (b_step == 1) {
    const T left = *a;
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(left, b[i]);
  } else {
    std::fill(y, y + count, f(*a, *b));
  }
}

template <class T, class F>
PlannedOp pair_elements(const OpSite& site, F f) {
  PlannedOp planned;
  const std::span<const OpInput> operands = std::span(site.inputs).first(2);
  const Shape shape = broadcast_shape(site, operands);
  planned.outputs = {{dtype_of<T>(), shape}};
  for (std::size_t i = 0; i < 2; ++i)
    if (site.shape(i) == shape) planned.overwrites |= 1u << i;
  if (element_count(shape) == 0) {
    planned.run = [](const OpRun&) {};
    return planned;
  }
  planned.run = [f, walk = plan_walk(shape, {site.shape(0), site.shape(1)})](const OpRun& run) {
    const T* a = run.inputs[0]->as<T>().data();
    const T* b = run.inputs[1]->as<T>().data();
    T* y = run.outputs[0]->as<T>().data();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      inner_loop(end - begin, a + begin * walk.inner_step[0], walk.inner_step[0], b + begin * walk.inner_step[1],
                 walk.inner_step[1], y + begin, f);
    };
    if (walk.count == 1) return parallel_for(walk.inner, run.threads, kElementsPerThread, std::cref(part));
    for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
      inner_loop(walk.inner, a + offset[0], walk.inner_step[0], b + offset[1], walk.inner_step[1], y + at, f);
    });
  };
  return planned;
}

template <class F>
PlannedOp pair_numbers(const OpSite& site, F f) {
  site.expect_dtype(1, site.dtype(0));
  switch (site.dtype(0)) {
    case DType::f32: return pair_elements<float>(site, f);
    case DType::f64: return pair_elements<double>(site, f);
    case DType::i32: return pair_elements<std::int32_t>(site, f);
    case DType::i64: return pair_elements<std::int64_t>(site, f);
    default: site.fail(fmt::format("elements of type {} are not supported", name_of(site.dtype(0))));
  }
}

/// Integers wrap around, as unsigned arithmetic defines.
template <class T, class F>
T wrapping(T a, T b, F f) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return T(f(U(a), U(b)));
  } else {
    return f(a, b);
  }
}

PlannedOp plan_add(const OpSite& site) {
  return pair_numbers(site, [](auto a, auto b) { return wrapping(a, b, [](auto x, auto y) { return x + y; }); });
}

PlannedOp plan_sub(const OpSite& site) {
  return pair_numbers(site, [](auto a, auto b) { return wrapping(a, b, [](auto x, auto y) { return x - y; }); });
}

PlannedOp plan_mul(const OpSite& site) {
  return pair_numbers(site, [](auto a, auto b) { return wrapping(a, b, [](auto x, auto y) { return x * y; }); });
}

/// Integers: towards zero; a division that has no result gives 0.
PlannedOp plan_div(const OpSite& site) {
  return pair_numbers(site, [](auto a, auto b) -> decltype(a) {
    if constexpr (std::is_integral_v<decltype(a)>) {
      if (b == 0 || (b == -1 && a == std::numeric_limits<decltype(a)>::min())) return 0;
    }
    return a / b;
  });
}

/// The sign follows the divisor, or the dividend when fmod = 1.
PlannedOp plan_mod(const OpSite& site) {
  const bool as_dividend = site.node->integer_or("fmod", 0) != 0;
  return pair_numbers(site, [as_dividend](auto a, auto b) -> decltype(a) {
    if constexpr (std::is_integral_v<decltype(a)>) {
      if (b == 0 || b == -1) return 0;
      const auto rest = decltype(a)(a % b);
      return !as_dividend && rest != 0 && (rest < 0) != (b < 0) ? decltype(a)(rest + b) : rest;
    } else {
      const auto rest = std::fmod(a, b);
      return !as_dividend && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
  });
}

PlannedOp plan_pow(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect_dtype(1, DType::f32);
  const Tensor* exponent = site.inputs[1].constant;
  if (exponent && exponent->size() == 1 && exponent->as<float>()[0] == 2.0f)
    return pair_elements<float>(site, [](float a, float) { return a * a; });
  return pair_elements<float>(site, [](float a, float b) { return std::pow(a, b); });
}

PlannedOp plan_prelu(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect_dtype(1, DType::f32);
  return pair_elements<float>(site, [](float x, float slope) { return x < 0 ? x * slope : x; });
}

/// y = f(y, input i) for i = 1.. after y = input 0, each broadcast to the result.
template <class F, class Last>
PlannedOp fold_operands(const OpSite& site, F f, Last last) {
  for (std::size_t i = 0; i < site.inputs.size(); ++i) site.expect_dtype(i, DType::f32);
  const Shape shape = broadcast_shape(site, site.inputs);
  PlannedOp planned;
  planned.outputs = {{DType::f32, shape}};
  std::vector<BroadcastWalk> walks;
  for (const OpInput& input : site.inputs) walks.push_back(plan_walk(shape, {shape, input.shape}));
  const bool empty = element_count(shape) == 0;
  planned.run = [f, last, walks, empty](const OpRun& run) {
    if (empty) return;
    const std::span<float> y = run.outputs[0]->as<float>();
    for (std::size_t i = 0; i < walks.size(); ++i) {
      const float* x = run.inputs[i]->as<float>().data();
      const BroadcastWalk& walk = walks[i];
      for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
        float* row = y.data() + at;
        if (i == 0) {
          inner_loop(walk.inner, row, std::int64_t(1), x + offset[1], walk.inner_step[1], row,
                     [](float, float value) { return value; });
        } else {
          inner_loop(walk.inner, row, std::int64_t(1), x + offset[1], walk.inner_step[1], row, f);
        }
      });
    }
    for (float& value : y) value = last(value);
  };
  return planned;
}

constexpr auto kUnchanged = [](float value) { return value; };

PlannedOp plan_min(const OpSite& site) {
  if (site.inputs.size() == 2) return pair_numbers(site, [](auto a, auto b) { return b < a ? b : a; });
  return fold_operands(
      site, [](float a, float b) { return b < a ? b : a; }, kUnchanged);
}

PlannedOp plan_max(const OpSite& site) {
  if (site.inputs.size() == 2) return pair_numbers(site, [](auto a, auto b) { return b > a ? b : a; });
  return fold_operands(
      site, [](float a, float b) { return b > a ? b : a; }, kUnchanged);
}

PlannedOp plan_sum(const OpSite& site) {
  return fold_operands(
      site, [](float a, float b) { return a + b; }, kUnchanged);
}

PlannedOp plan_mean(const OpSite& site) {
  const auto count = float(site.inputs.size());
  return fold_operands(
      site, [](float a, float b) { return a + b; }, [count](float sum) { return sum / count; });
}

constexpr OperatorInfo kTable[] = {
    {"Add", 2, 2, 1, plan_add},       {"Div", 2, 2, 1, plan_div},     {"Max", 1, kMany, 1, plan_max},
    {"Mean", 1, kMany, 1, plan_mean}, {"Min", 1, kMany, 1, plan_min}, {"Mod", 2, 2, 1, plan_mod},
    {"Mul", 2, 2, 1, plan_mul},       {"PRelu", 2, 2, 1, plan_prelu}, {"Pow", 2, 2, 1, plan_pow},
    {"Sub", 2, 2, 1, plan_sub},       {"Sum", 1, kMany, 1, plan_sum},
};

}  // namespace

std::span<const OperatorInfo> binary_operators() { return kTable; }

}  // namespace qb
