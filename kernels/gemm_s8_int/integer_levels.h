// What codes mean as integers, and what that costs in int32.
#pragma once
#include <array>
#include <cstdint>

#include "kernels/packed_matrix.h"

namespace qb {

/// Levels of a format as integers: real level = unit * level[code], before zeros are subtracted and scales multiplied.
struct IntegerLevels {
  float unit = 1.0f;  ///< a power of two
  std::array<std::int16_t, 256> level{};
  int middle_shift = 0;  ///< level[code] >= -2^middle_shift; for integers real zero is 2^middle_shift
};

/// Integers, and the sets binary, ternary, trit, e2m1, e2m3, iq4nl, pot4 and apot4.
bool has_integer_levels(const QuantFormat& format);
IntegerLevels integer_levels(const QuantFormat& format);  ///< promises has_integer_levels()

/// The level that must be subtracted from integer_levels() at weight (row, column): 0 for sets and with offsets.
int zero_level(const PackedMatrix& matrix, std::int64_t row, std::int64_t column);

/// Throws Unsupported when a group (or row) is so long that a sum of (activation - zero) * level could leave int32.
void require_exact_int32(const PackedMatrix& matrix);

}  // namespace qb
