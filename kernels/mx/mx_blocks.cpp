#include "kernels/mx/mx_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr MxElement kElements[] = {
    {"mxfp8e4m3", kE4M3FN}, {"mxfp8e5m2", kE5M2}, {"mxfp6e3m2", kE3M2FN},
    {"mxfp6e2m3", kE2M3FN}, {"mxfp4", kE2M1FN},   {"mxint8", {}, 8},
};

/// The fields of binary32: its exponent (0 for zero and subnormals) and mantissa.
struct Binary32 {
  int exponent;
  std::uint32_t mantissa;
};

Binary32 fields_of(std::uint32_t bits) { return {int(bits >> 23 & 0xffu), bits & 0x7fffffu}; }

int mantissa_bits(const MxElement& element) {
  return element.integer_bits > 0 ? element.integer_bits - 2 : element.format.mantissa_bits;
}

float largest(const MxElement& element) {
  if (element.integer_bits == 0) return max_finite(element.format);
  return std::ldexp(float((1 << (element.integer_bits - 1)) - 1), 2 - element.integer_bits);
}

/// The exponent of the largest power of two among the elements.
int largest_exponent(const MxElement& element) { return std::ilogb(largest(element)); }

std::uint8_t element_code(const MxElement& element, double x, Ties ties) {
  if (element.integer_bits == 0) return std::uint8_t(encode(element.format, x, Overflow::sat_all, ties));
  const double limit = double((1 << (element.integer_bits - 1)) - 1);
  const double code = std::ldexp(x, element.integer_bits - 2);
  return std::uint8_t(int(std::clamp(ties == Ties::even ? std::nearbyint(code) : std::round(code), -limit, limit)));
}

double element_value(const MxElement& element, std::uint8_t code) {
  if (element.integer_bits == 0) return double(decode(element.format, code));
  return std::ldexp(double(std::int8_t(code)), 2 - element.integer_bits);
}

}  // namespace

std::span<const MxElement> mx_elements() { return kElements; }

const MxElement& mx_element(std::string_view name) {
  for (const MxElement& element : kElements)
    if (element.name == name) return element;
  std::vector<std::string> names;
  for (const MxElement& element : kElements) names.emplace_back(element.name);
  throw InputError(fmt::format("MX element '{}' is not known{}", name, suggestion(name, names)));
}

std::uint8_t mx_scale(const MxElement& element, float amax, MxScaleRule rule) {
  QB_EXPECTS(!(amax < 0));
  constexpr int kLargest = 254;
  if (!std::isfinite(amax)) return 255;
  if (amax == 0.0f) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(amax);
  if (rule == MxScaleRule::up) {
    const Binary32 ratio = fields_of(std::bit_cast<std::uint32_t>(amax / largest(element)));
    return std::uint8_t(std::min(ratio.exponent + (ratio.mantissa != 0 ? 1 : 0), kLargest));
  }
  const std::uint32_t half_step = rule == MxScaleRule::even ? 1u << (22 - mantissa_bits(element)) : 0;
  const Binary32 fields = fields_of(bits + half_step);
  const int carry = rule == MxScaleRule::ceil && fields.mantissa != 0 ? 1 : 0;
  return std::uint8_t(std::clamp(fields.exponent + carry - largest_exponent(element), 0, kLargest));
}

MxMatrix quantize_mx(const MxElement& element, MatrixView<const float> values, MxScaleRule rule, Ties ties) {
  MxMatrix matrix = {element, values.rows, values.cols, {}, {}};
  matrix.codes.reserve(std::size_t(values.rows * values.cols));
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t first = 0; first < values.cols; first += kMxBlock) {
      const std::span block(values.row(i) + first, std::size_t(std::min(kMxBlock, values.cols - first)));
      float amax = 0;
      for (const float x : block) amax = std::max(amax, std::abs(x));
      const bool finite = std::all_of(block.begin(), block.end(), [](float x) { return std::isfinite(x); });
      matrix.scales.push_back(finite ? mx_scale(element, amax, rule) : 255);
      const double unit = double(decode(kE8M0FNU, matrix.scales.back()));
      for (const float x : block)
        matrix.codes.push_back(finite ? element_code(element, double(x) / unit, ties) : std::uint8_t(0));
    }
  return matrix;
}

std::vector<float> dequantize_mx(const MxMatrix& matrix) {
  const std::int64_t blocks = (matrix.cols + kMxBlock - 1) / kMxBlock;
  std::vector<float> values;
  values.reserve(matrix.codes.size());
  for (std::int64_t i = 0; i < matrix.rows; ++i)
    for (std::int64_t j = 0; j < matrix.cols; ++j) {
      const double unit = double(decode(kE8M0FNU, matrix.scales[std::size_t(i * blocks + j / kMxBlock)]));
      values.push_back(
          static_cast<float>(element_value(matrix.element, matrix.codes[std::size_t(i * matrix.cols + j)]) * unit));
    }
  return values;
}

}  // namespace qb
