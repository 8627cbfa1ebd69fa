// Weights with one table of levels for each row and scales and offsets for its groups, as tables of the groups.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

bool has_scaled_tables(const QuantFormat& format);

/// The same weights with a table for each group, which is what the kernels read: 2^bits floats where a scale and an
/// offset were.
PackedMatrix with_group_tables(const PackedMatrix& weights);

}  // namespace qb
