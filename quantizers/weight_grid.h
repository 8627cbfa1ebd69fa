// The uniform grid of weights that share a scale, as the options `grid`, `range`, `percentile`, `norm` and `scale` ask.
#pragma once
#include <span>

#include "kernels/packed_matrix.h"
#include "quantizers/grid.h"
#include "quantizers/quant_spec.h"

namespace qb {

enum class RangeChoice : std::uint8_t { minmax, percentile, mse, aciq, octav, entropy };

/// The options of a spec, read once.
struct WeightGrid {
  int bits = 8;
  bool symmetric = true;
  RangeChoice range = RangeChoice::minmax;
  double percent = 100, norm = 2;
  ScaleType scale = ScaleType::f32;
};
WeightGrid weight_grid(const QuantSpec& spec);

/// The grid for these values, finite and at least one; its scale is one that the scale type holds.
Grid fit_grid(const WeightGrid& wanted, std::span<const float> values);

/// The code that is stored, in [0, 2^bits - 1], of a code of the grid.
std::uint8_t stored_code(const WeightGrid& wanted, std::int32_t code);

/// A matrix [n, k] of that format with room for its codes, scales and zeros.
UnpackedMatrix grid_matrix(const WeightGrid& wanted, const QuantSpec& spec, std::int64_t n, std::int64_t k);

/// Columns of a row that share a scale.
std::int64_t run_length(const QuantFormat& format, std::int64_t k);

/// Writes the parameters of the run at `index` into the matrix.
void store_grid(const WeightGrid& wanted, const Grid& grid, std::size_t index, UnpackedMatrix& out);

/// Integers by channel, tensor or group with the wanted bits, zeros and scale type.
QuantFormat grid_format(const WeightGrid& wanted, const QuantSpec& spec);

}  // namespace qb
