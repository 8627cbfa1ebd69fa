// Blocks of 32 values along k with one power of two as their scale (OCP Microscaling, "MX").
//
// value = element * 2^(scale - 127), element one of the small floats or a fixed-point integer code / 64.
//
// Source: OCP Microscaling Formats 1.0, section 6.3 (elements, the floor rule); arXiv:2506.08027 and torchao's
// mx_formats (the other scale rules).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/small_floats.h"
#include "kernels/base/tensor.h"

namespace qb {

inline constexpr std::int64_t kMxBlock = 32;

/// What a block's elements are: `format`, or with integer_bits > 0 two's complement codes of value
/// code / 2^(integer_bits - 2), restricted to +-(2^(integer_bits - 1) - 1).
struct MxElement {
  std::string_view name;
  FloatFormat format;
  int integer_bits = 0;
};

/// mxfp8e4m3, mxfp8e5m2, mxfp6e3m2, mxfp6e2m3, mxfp4, mxint8.
std::span<const MxElement> mx_elements();
const MxElement& mx_element(std::string_view name);  ///< throws InputError naming the nearest

/// How a block's power of two follows from its largest magnitude. `up` never makes an element overflow (below 2^127);
/// `floor` clips magnitudes above the largest element, by up to a quarter for mxfp4.
enum class MxScaleRule : std::uint8_t {
  floor,  ///< OCP: largest power <= amax, over the largest power among the elements
  ceil,   ///< the same with the smallest power >= amax
  even,   ///< floor after adding half of an element's last mantissa bit to amax
  up,     ///< smallest power >= amax / largest element ("rceil")
};

/// The E8M0 code for a block's amax >= 0; 255 when amax is infinite or NaN, 0 when it is 0. Binary32 subnormals count
/// as having exponent -127.
std::uint8_t mx_scale(const MxElement& element, float amax, MxScaleRule rule);

/// A matrix [rows, cols] in blocks along its rows; the last block of a row may be shorter.
struct MxMatrix {
  MxElement element;
  std::int64_t rows = 0, cols = 0;
  std::vector<std::uint8_t> scales;  ///< [rows, ceil(cols / 32)] E8M0
  std::vector<std::uint8_t> codes;   ///< [rows, cols], one code per byte, in its low bits (integers: sign-extended)
};

/// Elements are rounded to nearest and saturate. A block that holds a NaN or infinity gets scale NaN and codes 0, so
/// that all of it decodes to NaN.
MxMatrix quantize_mx(const MxElement& element, MatrixView<const float> values, MxScaleRule rule,
                     Ties ties = Ties::even);

std::vector<float> dequantize_mx(const MxMatrix& matrix);  ///< [rows, cols]; float32, rounded once where subnormal

}  // namespace qb
