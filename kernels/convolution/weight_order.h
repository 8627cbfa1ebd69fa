// Weights of a convolution: the rows of one group, and the order in which pixels hold their channels.
#pragma once
#include "kernels/packed_matrix.h"

namespace qb {

/// Rows [begin, begin + count) with their parameters.
PackedMatrix rows_of(const PackedMatrix& weights, std::int64_t begin, std::int64_t count);

/// True where all weights of a row share one scale (or table), so that codes may change places.
bool order_is_free(const QuantFormat& format, std::int64_t k);

/// The same weights [n, channels * area] with k in the order area, channel instead of channel, area. QB_EXPECTS a free
/// order and channels that divide k.
PackedMatrix channels_last(const PackedMatrix& weights, std::int64_t channels);

}  // namespace qb
