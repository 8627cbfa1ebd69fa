// Between real values and integer codes.
// Source: ONNX QuantizeLinear and DequantizeLinear (opsets 10 to 25), DynamicQuantizeLinear (opset 11).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/small_floats.h"
#include "models/element_types.h"
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

/// float32, or half as some graphs have it.
bool is_scale_type(DType type) { return type == DType::f32 || type == DType::f16 || type == DType::bf16; }

ScaleIndex plan_scales(const OpSite& site) {
  if (!is_scale_type(site.dtype(1)))
    site.fail(fmt::format("scales of type {} are not supported; f32, f16 and bf16 are", name_of(site.dtype(1))));
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

/// An attribute that names an element type by ONNX's number; `otherwise` when it is absent or 0.
DType type_attribute(const OpSite& site, std::string_view key, DType otherwise) {
  const std::int64_t number = site.node->integer_or(key, 0);
  if (number == 0) return otherwise;
  const std::optional<DType> type = dtype_of_onnx(number);
  if (!type) site.fail(fmt::format("{} is {}, which is no type of numbers", key, onnx_type_name(number)));
  return *type;
}

/// round(x / scale) to even, plus zero, saturated; NaN becomes zero. Ratios beyond 2^20 saturate whatever zero is, so
/// they may be cut there; below 2^22, adding and subtracting 1.5 * 2^23 rounds to even in a way that is vectorized.
template <class Q>
void quantize_run(const float* x, Q* y, std::int64_t count, float scale, float zero, float low, float high) {
  constexpr float kEnough = 0x1p20f, kMagic = 12582912.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    const float ratio = x[i] / scale;
    const float inside = ratio < -kEnough ? -kEnough : ratio > kEnough ? kEnough : ratio == ratio ? ratio : 0.0f;
    const float code = ((inside + kMagic) - kMagic) + zero;
    y[i] = Q(std::int32_t(code < low ? low : code > high ? high : code));
  }
}

/// float32 to integers whose elements lie as Q.
template <class Q>
PlannedOp quantize_to(const OpSite& site, DType type) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  const float low = float(integer_range(type)->low), high = float(integer_range(type)->high);
  PlannedOp planned;
  planned.outputs = {{type, site.shape(0)}};
  planned.run = [=](const OpRun& run) {
    const std::span<const float> x = run.inputs[0]->as<float>(), scale = run.inputs[1]->as<float>();
    const Q* zero = has_zero ? run.inputs[2]->bytes.as<Q>() : nullptr;
    Q* y = run.outputs[0]->bytes.as<Q>();
    index.for_each_run(std::ssize(x), [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      quantize_run(x.data() + begin, y + begin, end - begin, scale[std::size_t(s)], zero ? float(zero[s]) : 0.0f, low,
                   high);
    });
  };
  return planned;
}

double element(const Tensor& tensor, std::int64_t i) {
  double value = 0;
  read_elements(tensor, i, std::span(&value, 1));
  return value;
}

/// The value that a type of scales keeps of a number.
float rounded_to(DType type, double value) {
  const auto single = static_cast<float>(value);
  return type == DType::f16    ? f32_from_f16(f16_from_f32(single))
         : type == DType::bf16 ? f32_from_bf16(bf16_from_f32(single))
                               : single;
}

/// Any type of numbers to codes: ratios in `precision`, then integers as above or
/// the nearest float, with saturation unless saturate = 0.
PlannedOp quantize_elements(const OpSite& site, DType type, DType precision) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  const std::int64_t count = element_count(site.shape(0));
  const Overflow overflow = site.node->integer_or("saturate", 1) != 0 ? Overflow::sat_all : Overflow::special;
  PlannedOp planned;
  planned.outputs = {{type, site.shape(0)}};
  planned.run = [=, format = float_format_of(type), range = integer_range(type)](const OpRun& run) {
    auto* bytes = run.outputs[0]->bytes.as<std::uint8_t>();
    auto* words = bytes_of(type) == 2 ? run.outputs[0]->bytes.as<std::uint16_t>() : nullptr;
    index.for_each_run(count, [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      const float scale = rounded_to(precision, element(*run.inputs[1], s));
      const double zero = has_zero ? element(*run.inputs[2], s) : 0.0;
      for (std::int64_t i = begin; i < end; ++i) {
        const float ratio = rounded_to(precision, rounded_to(precision, element(*run.inputs[0], i)) / scale);
        if (format) {
          bytes[i] = std::uint8_t(encode(*format, double(ratio) + zero, overflow));
          continue;
        }
        const double code = (std::isnan(ratio) ? 0.0 : std::nearbyint(double(ratio))) + zero;
        const auto kept = std::int32_t(std::clamp(code, double(range->low), double(range->high)));
        if (words)
          words[i] = std::uint16_t(kept);
        else
          bytes[i] = std::uint8_t(kept);
      }
    });
  };
  return planned;
}

bool is_code_type(DType type) {
  const std::optional<IntegerRange> range = integer_range(type);
  const bool small_float = float_format_of(type) && bytes_of(type) == 1 && type != DType::e8m0fnu;
  return small_float || (range && range->high - range->low <= 0xffff);
}

PlannedOp plan_quantize_linear(const OpSite& site) {
  if (!is_scale_type(site.dtype(0)) && site.dtype(0) != DType::i32)
    site.fail(fmt::format("values of type {} are not supported; f32, f16, bf16 and i32 are", name_of(site.dtype(0))));
  const DType type = type_attribute(site, "output_dtype", site.has(2) ? site.dtype(2) : DType::u8);
  if (site.has(2)) site.expect_dtype(2, type);
  if (!is_code_type(type))
    site.fail(fmt::format("codes of type {} are not supported; integers of 2 to 16 bits and floats of 4 and 8 are",
                          name_of(type)));
  const DType precision = type_attribute(site, "precision", site.dtype(1));
  if (!is_scale_type(precision)) site.fail("precision must be that of f32, f16 or bf16");
  const bool plain = site.dtype(0) == DType::f32 && site.dtype(1) == DType::f32 && precision == DType::f32;
  if (!plain || float_format_of(type)) return quantize_elements(site, type, precision);
  const bool with_sign = integer_range(type)->low < 0;
  if (bytes_of(type) == 2)
    return with_sign ? quantize_to<std::int16_t>(site, type) : quantize_to<std::uint16_t>(site, type);
  return with_sign ? quantize_to<std::int8_t>(site, type) : quantize_to<std::uint8_t>(site, type);
}

/// Integers that lie as Q to float32.
template <class Q>
PlannedOp dequantize_from(const OpSite& site) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  const std::int64_t count = element_count(site.shape(0));
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.run = [=](const OpRun& run) {
    using Difference = std::conditional_t<sizeof(Q) < 4, std::int32_t, std::int64_t>;
    const Q* x = run.inputs[0]->bytes.as<Q>();
    const std::span<const float> scale = run.inputs[1]->as<float>();
    const Q* zero = has_zero ? run.inputs[2]->bytes.as<Q>() : nullptr;
    float* y = run.outputs[0]->as<float>().data();
    index.for_each_run(count, [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      const float step = scale[std::size_t(s)];
      const Difference offset = zero ? zero[s] : 0;
      for (std::int64_t i = begin; i < end; ++i) y[i] = float(x[i] - offset) * step;
    });
  };
  return planned;
}

/// Codes of any type to any type of scales; computed in float32, rounded once more where the result is half.
PlannedOp dequantize_elements(const OpSite& site, DType result) {
  const ScaleIndex index = plan_scales(site);
  const bool has_zero = site.has(2);
  const std::int64_t count = element_count(site.shape(0));
  PlannedOp planned;
  planned.outputs = {{result, site.shape(0)}};
  planned.run = [=](const OpRun& run) {
    auto* singles = run.outputs[0]->bytes.as<float>();
    auto* halves = run.outputs[0]->bytes.as<std::uint16_t>();
    index.for_each_run(count, [&](std::int64_t begin, std::int64_t end, std::int64_t s) {
      const auto step = float(element(*run.inputs[1], s));
      const double zero = has_zero ? element(*run.inputs[2], s) : 0.0;
      for (std::int64_t i = begin; i < end; ++i) {
        const float value = float(element(*run.inputs[0], i) - zero) * step;
        if (result == DType::f32)
          singles[i] = value;
        else
          halves[i] = result == DType::f16 ? f16_from_f32(value) : bf16_from_f32(value);
      }
    });
  };
  return planned;
}

PlannedOp plan_dequantize_linear(const OpSite& site) {
  const DType type = site.dtype(0);
  if (!is_code_type(type) && type != DType::i32)
    site.fail(fmt::format("codes of type {} are not supported; integers of 2 to 32 bits and floats of 4 and 8 are",
                          name_of(type)));
  if (site.has(2)) site.expect_dtype(2, type);
  const DType result = type_attribute(site, "output_dtype", site.dtype(1));
  if (!is_scale_type(result)) site.fail("output_dtype must be that of f32, f16 or bf16");
  if (site.dtype(1) != DType::f32 || result != DType::f32 || float_format_of(type))
    return dequantize_elements(site, result);
  if (type == DType::i32) return dequantize_from<std::int32_t>(site);
  const bool with_sign = integer_range(type)->low < 0;
  if (bytes_of(type) == 2)
    return with_sign ? dequantize_from<std::int16_t>(site) : dequantize_from<std::uint16_t>(site);
  return with_sign ? dequantize_from<std::int8_t>(site) : dequantize_from<std::uint8_t>(site);
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
    quantize_run(x.data(), run.outputs[0]->as<std::uint8_t>().data(), std::ssize(x), scale, zero, 0.0f, 255.0f);
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
