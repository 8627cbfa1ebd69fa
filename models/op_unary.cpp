// Functions of one value each.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/base/parallel.h"
#include "kernels/curves/best_curves.h"
#include "models/float_functions.h"
#include "models/ops.h"

namespace qb {

namespace {

template <class T, class F>
PlannedOp map_elements(const OpSite& site, F f) {
  PlannedOp planned;
  planned.outputs = {{dtype_of<T>(), site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [f](const OpRun& run) {
    const std::span<const T> x = run.inputs[0]->as<T>();
    T* y = run.outputs[0]->as<T>().data();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (auto i = std::size_t(begin); i < std::size_t(end); ++i) y[i] = f(x[i]);
    };
    parallel_for(std::ssize(x), run.threads, kElementsPerThread, std::cref(part));
  };
  return planned;
}

/// For operators that only floats have.
template <class F>
PlannedOp map_floats(const OpSite& site, F f) {
  site.expect_dtype(0, DType::f32);
  return map_elements<float>(site, f);
}

/// For operators that ONNX defines on integers too.
template <class F>
PlannedOp map_numbers(const OpSite& site, F f) {
  switch (site.dtype(0)) {
    case DType::f32: return map_elements<float>(site, f);
    case DType::f64: return map_elements<double>(site, f);
    case DType::i8: return map_elements<std::int8_t>(site, f);
    case DType::i32: return map_elements<std::int32_t>(site, f);
    case DType::i64: return map_elements<std::int64_t>(site, f);
    default: site.fail(fmt::format("elements of type {} are not supported", name_of(site.dtype(0))));
  }
}

PlannedOp plan_relu(const OpSite& site) {
  return map_numbers(site, [](auto x) { return x < 0 ? decltype(x)(0) : x; });
}

PlannedOp plan_leaky_relu(const OpSite& site) {
  const float alpha = site.node->number_or("alpha", 0.01f);
  return map_floats(site, [alpha](float x) { return x < 0 ? x * alpha : x; });
}

PlannedOp plan_elu(const OpSite& site) {
  const float alpha = site.node->number_or("alpha", 1.0f);
  return map_floats(site, [alpha](float x) { return x < 0 ? alpha * std::expm1(x) : x; });
}

/// By the kernels of kernels/curves.
PlannedOp plan_curve(const OpSite& site, Curve curve, float alpha = 1.0f) {
  site.expect_dtype(0, DType::f32);
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const CurveFn fill = best_curves(run.isa);
    const std::span<const float> x = run.inputs[0]->as<float>();
    float* y = run.outputs[0]->as<float>().data();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      fill({curve, alpha, x.data() + begin, y + begin, end - begin});
    };
    parallel_for(std::ssize(x), run.threads, kElementsPerThread, std::cref(part));
  };
  return planned;
}

PlannedOp plan_sigmoid(const OpSite& site) { return plan_curve(site, Curve::sigmoid); }

PlannedOp plan_tanh(const OpSite& site) { return plan_curve(site, Curve::tanh); }

PlannedOp plan_hard_sigmoid(const OpSite& site) {
  const float alpha = site.node->number_or("alpha", 0.2f), beta = site.node->number_or("beta", 0.5f);
  return map_floats(site, [alpha, beta](float x) { return std::max(0.0f, std::min(1.0f, alpha * x + beta)); });
}

PlannedOp plan_hard_swish(const OpSite& site) {
  return map_floats(site, [](float x) { return x * std::max(0.0f, std::min(1.0f, x / 6.0f + 0.5f)); });
}

PlannedOp plan_swish(const OpSite& site) { return plan_curve(site, Curve::swish, site.node->number_or("alpha", 1.0f)); }

PlannedOp plan_softplus(const OpSite& site) {
  return map_floats(site, [](float x) { return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x))); });
}

PlannedOp plan_gelu(const OpSite& site) {
  const std::string approximate = site.node->text_or("approximate", "none");
  if (approximate != "none" && approximate != "tanh")
    site.fail(fmt::format("approximate '{}' is not known; 'none' and 'tanh' are", approximate));
  return plan_curve(site, approximate == "none" ? Curve::gelu : Curve::gelu_tanh);
}

PlannedOp plan_erf(const OpSite& site) { return plan_curve(site, Curve::erf); }

PlannedOp plan_exp(const OpSite& site) {
  return map_floats(site, [](float x) { return exp_f32(x); });
}

PlannedOp plan_log(const OpSite& site) {
  return map_floats(site, [](float x) { return std::log(x); });
}

PlannedOp plan_sqrt(const OpSite& site) {
  return map_floats(site, [](float x) { return std::sqrt(x); });
}

PlannedOp plan_reciprocal(const OpSite& site) {
  return map_floats(site, [](float x) { return 1.0f / x; });
}

PlannedOp plan_floor(const OpSite& site) {
  return map_floats(site, [](float x) { return std::floor(x); });
}

PlannedOp plan_ceil(const OpSite& site) {
  return map_floats(site, [](float x) { return std::ceil(x); });
}

PlannedOp plan_round(const OpSite& site) {
  return map_floats(site, [](float x) { return std::nearbyint(x); });
}

PlannedOp plan_neg(const OpSite& site) {
  return map_numbers(site, [](auto x) { return decltype(x)(-x); });
}

PlannedOp plan_abs(const OpSite& site) {
  return map_numbers(site, [](auto x) { return x < 0 ? decltype(x)(-x) : x; });
}

/// One bound of Clip: an attribute up to opset 10, later an input that may only be known when running.
struct Bound {
  bool from_input = false;
  float value = 0;
  float get(const OpRun& run, std::size_t input) const {
    return from_input ? run.inputs[input]->as<float>()[0] : value;
  }
};

Bound clip_bound(const OpSite& site, std::size_t input, std::string_view attribute, float otherwise) {
  if (!site.has(input)) return {false, site.node->number_or(attribute, otherwise)};
  site.expect_dtype(input, DType::f32);
  site.expect(element_count(site.shape(input)) == 1, "a bound must be one number");
  return {true, 0};
}

PlannedOp plan_clip(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  const Bound low = clip_bound(site, 1, "min", std::numeric_limits<float>::lowest());
  const Bound high = clip_bound(site, 2, "max", std::numeric_limits<float>::max());
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [low, high](const OpRun& run) {
    const float least = low.get(run, 1), most = high.get(run, 2);
    const std::span<const float> x = run.inputs[0]->as<float>();
    float* y = run.outputs[0]->as<float>().data();
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float raised = x[i] < least ? least : x[i];
      y[i] = raised > most ? most : raised;
    }
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"Abs", 1, 1, 1, plan_abs},
    {"Ceil", 1, 1, 1, plan_ceil},
    {"Clip", 1, 3, 1, plan_clip},
    {"Elu", 1, 1, 1, plan_elu},
    {"Erf", 1, 1, 1, plan_erf},
    {"Exp", 1, 1, 1, plan_exp},
    {"Floor", 1, 1, 1, plan_floor},
    {"Gelu", 1, 1, 1, plan_gelu},
    {"HardSigmoid", 1, 1, 1, plan_hard_sigmoid},
    {"HardSwish", 1, 1, 1, plan_hard_swish},
    {"LeakyRelu", 1, 1, 1, plan_leaky_relu},
    {"Log", 1, 1, 1, plan_log},
    {"Neg", 1, 1, 1, plan_neg},
    {"Reciprocal", 1, 1, 1, plan_reciprocal},
    {"Relu", 1, 1, 1, plan_relu},
    {"Round", 1, 1, 1, plan_round},
    {"Sigmoid", 1, 1, 1, plan_sigmoid},
    {"Softplus", 1, 1, 1, plan_softplus},
    {"Sqrt", 1, 1, 1, plan_sqrt},
    {"Swish", 1, 1, 1, plan_swish},
    {"Tanh", 1, 1, 1, plan_tanh},
};

}  // namespace

std::span<const OperatorInfo> unary_operators() { return kTable; }

}  // namespace qb
