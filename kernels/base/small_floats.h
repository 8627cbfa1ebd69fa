// Floats of 16 bits as bit patterns. Conversions are exact or round to nearest, ties to even.
// Source: IEEE 754-2019 binary16; bfloat16 as the upper half of binary32.
#pragma once
#include <cstdint>

namespace qb {

float f32_from_f16(std::uint16_t bits);    ///< exact; NaN stays NaN
std::uint16_t f16_from_f32(float value);   ///< overflow becomes infinity; subnormals are kept; NaN stays a quiet NaN
float f32_from_bf16(std::uint16_t bits);   ///< exact
std::uint16_t bf16_from_f32(float value);  ///< as f16_from_f32

}  // namespace qb
