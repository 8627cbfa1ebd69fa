// Between real values and integer codes.
// Source: ONNX QuantizeLinear and DequantizeLinear (opsets 10 to 21), DynamicQuantizeLinear (opset 11).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/ops.h"

namespace qb {

namespace {

/// Element i of a tensor has the scale number i / inner % extent, taken in blocks: one scale for all has extent 1.
struct ScaleIndex {
  std::int64_t outer = 1, extent = 1, inner = 1;
  std::int64_t block = 1;  ///< neighbours along the axis that share a scale
  bool blocked = false;    ///< scales vary over the other axes too

  template <class Body>
  void for_each_run(std::int64_t count, Body body) const {
    if (extent == 1 && !blocked) return body(0, count, 0);
    const std::int64_t blocks = (extent + block - 1) / block;
    std::int64_t at = 0;
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t e = 0; e < extent; ++e, at += inner) {
        if (!blocked) {
          body(at, at + inner, e);
        } else {
          for (std::int64_t i = 0; i < inner; ++i) body(at + i, at + i + 1, (o * blocks + e / block) * inner + i);
        }
      }
  }
};

ScaleIndex plan_scales(const OpSite& site) {
  site.expect_dtype(1, DType::f32);
  const Shape &x = site.shape(0), &scale = site.shape(1);
  if (site.has(2) && element_count(site.shape(2)) != element_count(scale))
    site.fail(
        fmt::format("{} scales and {} zero points do not pair", element_count(scale), element_count(site.shape(2))));
  ScaleIndex index;
  if (element_count(scale) == 1 && scale.size() <= 1) return index;
  const std::size_t axis = site.axis(site.node->integer_or("axis", 1), std::ssize(x));
  for (std::size_t i = 0; i < x.size(); ++i) (i < axis ? index.outer : i == axis ? index.extent : index.inner) *= x[i];
  if (scale.size() == 1) {
    if (scale[0] != x[axis]) site.fail(fmt::format("{} scales do not fit an axis of {}", scale[0], x[axis]));
    return index;
  }
  index.blocked = true;
  index.block = site.node->integer_or("block_size", 0);
  if (index.block < 1) site.fail("scales of several axes need a block_size of at least 1");
  Shape wanted = x;
  wanted[axis] = (x[axis] + index.block - 1) / index.block;
  if (scale != wanted)
    site.fail(fmt::format("scales of shape {} do not fit blocks of {}; {} does", to_text(scale), index.block,
                          to_text(wanted)));
  return index;
}

/// round(x / scale) to even, plus zero, saturated; NaN becomes zero. Ratios beyond 2^20 saturate whatever zero is, so
/// they may be cut there; below 2^22, adding and subtracting 1.5 * 2^23 rounds to even in a way that is vectorized.
template <class Q>
void quantize_run(const float* x, Q* y, std::int64_t count, float scale, float zero) {
  constexpr float kLow = float(std::numeric_limits<Q>::min()), kHigh = float(std::numeric_limits<Q>::max());
  constexpr float kEnough = 0x1p20f, kMagic = 12582912.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    const float ratio = x[i] / scale;
    const float inside = ratio < -kEnough ? -kEnough : ratio > kEnough ? kEnough : ratio == ratio ? ratio : 0.0f;
    const float code = ((inside + kMagic) - kMagic) + zero;
    y[i] = Q(std::int32_t(code < kLow ? kLow : code > kHigh ? kHigh : code));
  }
}

template <class Q>
PlannedOp quantize_to(const OpSite& site) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  PlannedOp planned;
  planned.outputs = {{dtype_of<Q>(), site.shape(0)}};
  planned.run = [index, has_zero](const OpRun& run) {
    const std::span<const float> x = run.inputs[0]->as<float>(), scale = run.inputs[1]->as<float>();
    const Q* zero = has_zero ? run.inputs[2]->as<Q>().data() : nullptr;
    Q* y = run.outputs[0]->as<Q>().data();
    index.for_each_run(std::ssize(x), [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      quantize_run(x.data() + begin, y + begin, end - begin, scale[std::size_t(s)], zero ? float(zero[s]) : 0.0f);
    });
  };
  return planned;
}

PlannedOp plan_quantize_linear(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  constexpr std::int64_t kOnnxU8 = 2, kOnnxI8 = 3, kOnnxU16 = 4, kOnnxI16 = 5;
  const std::int64_t asked = site.node->integer_or("output_dtype", kOnnxU8);
  const DType type = site.has(2)         ? site.dtype(2)
                     : asked == kOnnxU8  ? DType::u8
                     : asked == kOnnxI8  ? DType::i8
                     : asked == kOnnxU16 ? DType::u16
                     : asked == kOnnxI16 ? DType::i16
                                         : DType::f32;
  switch (type) {
    case DType::u8: return quantize_to<std::uint8_t>(site);
    case DType::i8: return quantize_to<std::int8_t>(site);
    case DType::u16: return quantize_to<std::uint16_t>(site);
    case DType::i16: return quantize_to<std::int16_t>(site);
    default: site.fail("codes must be integers of 8 or 16 bits");
  }
}

template <class Q>
PlannedOp dequantize_from(const OpSite& site) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  if (has_zero) site.expect_dtype(2, site.dtype(0));
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.run = [index, has_zero](const OpRun& run) {
    const std::span<const Q> x = run.inputs[0]->as<Q>();
    const std::span<const float> scale = run.inputs[1]->as<float>();
    const Q* zero = has_zero ? run.inputs[2]->as<Q>().data() : nullptr;
    float* y = run.outputs[0]->as<float>().data();
    index.for_each_run(std::ssize(x), [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      const float step = scale[std::size_t(s)];
      if constexpr (sizeof(Q) < 4) {
        const std::int32_t offset = zero ? zero[s] : 0;
        for (std::int64_t i = begin; i < end; ++i) y[i] = float(x[std::size_t(i)] - offset) * step;
      } else {
        const std::int64_t offset = zero ? zero[s] : 0;
        for (std::int64_t i = begin; i < end; ++i) y[i] = float(x[std::size_t(i)] - offset) * step;
      }
    });
  };
  return planned;
}

PlannedOp plan_dequantize_linear(const OpSite& site) {
  switch (site.dtype(0)) {
    case DType::u8: return dequantize_from<std::uint8_t>(site);
    case DType::i8: return dequantize_from<std::int8_t>(site);
    case DType::u16: return dequantize_from<std::uint16_t>(site);
    case DType::i16: return dequantize_from<std::int16_t>(site);
    case DType::i32: return dequantize_from<std::int32_t>(site);
    default:
      site.fail(
          fmt::format("codes of type {} are not supported; integers of 8, 16 and 32 bits are", name_of(site.dtype(0))));
  }
}

/// Codes 0..255 over the range of the data with zero in it. A range of nothing has the scale 1 / 255.
PlannedOp plan_dynamic_quantize_linear(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  PlannedOp planned;
  planned.outputs = {{DType::u8, site.shape(0)}, {DType::f32, {}}, {DType::u8, {}}};
  planned.run = [](const OpRun& run) {
    const std::span<const float> x = run.inputs[0]->as<float>();
    float low = 0, high = 0;
    for (const float value : x) {
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    const float scale = (high == low ? 1.0f : high - low) / 255.0f;
    const float zero = std::nearbyint(std::clamp(0.0f - low / scale, 0.0f, 255.0f));
    quantize_run(x.data(), run.outputs[0]->as<std::uint8_t>().data(), std::ssize(x), scale, zero);
    if (run.outputs.size() > 1 && run.outputs[1]) run.outputs[1]->as<float>()[0] = scale;
    if (run.outputs.size() > 2 && run.outputs[2]) run.outputs[2]->as<std::uint8_t>()[0] = std::uint8_t(zero);
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"DequantizeLinear", 2, 3, 1, plan_dequantize_linear},
    {"DynamicQuantizeLinear", 1, 1, 3, plan_dynamic_quantize_linear},
    {"QuantizeLinear", 2, 3, 1, plan_quantize_linear},
};

}  // namespace

std::span<const OperatorInfo> quantize_operators() { return kTable; }

}  // namespace qb
