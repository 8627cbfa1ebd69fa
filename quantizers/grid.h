// Uniform grids of low-bit integers: value = (code - zero) * scale.
#pragma once
#include <cstdint>

namespace qb {

/// An interval of real values that holds zero: low <= 0 <= high, both finite.
struct Range {
  double low = 0, high = 0;
};

/// Codes are signed integers in [low, high], with low <= zero <= high. scale is finite and at least 2^-126, so that
/// real zero is always representable; every value of a code is finite.
struct Grid {
  float scale = 1.0f;
  std::int32_t zero = 0;
  std::int32_t low = 0, high = 0;
};

/// Both grids are computed in float32, one operation after another, as the public references do.
///
/// Codes -(2^(bits-1)-1) .. 2^(bits-1)-1, zero 0, scale clip / (2^(bits-1)-1); scale 1 for clip 0. bits 2..8, clip >=
/// 0. Source: quantizers.md, sections 1.1 (restricted signed grid) and 1.2.
Grid symmetric_grid(double clip, int bits);

/// Codes -2^(bits-1) .. 2^(bits-1)-1 over the range extended to hold zero: scale (high - low) / (2^bits - 1), zero
/// round(-2^(bits-1) - low / scale); scale 1 for an empty range. bits 2..8. Source: as above, section 1.2.
Grid asymmetric_grid(Range range, int bits);

/// round(value / scale) + zero, ties to even, division in float32, clipped into the grid. `value` must be finite.
std::int32_t code_of(const Grid& grid, float value);

/// The value that decoding gives, in float32.
float value_of(const Grid& grid, std::int32_t code);

}  // namespace qb
