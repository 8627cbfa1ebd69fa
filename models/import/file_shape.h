// The shapes that files may have. Internal to models/import.
#pragma once
#include <string_view>

#include "kernels/base/tensor.h"

namespace qb {

inline constexpr std::size_t kMostRank = 8;  ///< of a tensor in any file

/// Rank at most kMostRank, extents not negative, a product that fits. Throws DataError beginning with `where`.
void check_file_shape(const Shape& shape, std::string_view where);

}  // namespace qb
