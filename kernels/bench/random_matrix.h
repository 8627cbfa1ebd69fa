// Weights drawn at random in any format: operands of tests and benchmarks.
#pragma once
#include <cstdint>

#include "kernels/packed_matrix.h"

namespace qb {

/// How the codes of random_weights() are drawn.
enum class Fill : std::uint8_t {
  random,   ///< codes (and activations) uniform over their ranges
  lowest,   ///< every code 0, every activation at its lowest
  highest,  ///< every code at its highest, every activation at its highest
  opposed,  ///< codes highest, activations lowest
  zero,     ///< every activation 0
  single,   ///< one activation and one weight of each row differ from zero
};

/// Weights [n, k] whose codes take every value that the format allows and whose scales, zeros, offsets and tables are
/// of the size that real weights have; float formats are uniform in [-1, 1]. Equal arguments give equal matrices.
PackedMatrix random_weights(const QuantFormat& format, std::int64_t n, std::int64_t k, std::uint64_t seed,
                            Fill fill = Fill::random);

}  // namespace qb
