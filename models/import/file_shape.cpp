#include "models/import/file_shape.h"

#include <fmt/format.h>

#include "kernels/base/error.h"

namespace qb {

void check_file_shape(const Shape& shape, std::string_view where) {
  if (shape.size() > kMostRank)
    throw DataError(fmt::format("{}: has {} dimensions; at most {} are read", where, shape.size(), kMostRank));
  element_count(shape, fmt::format("{}: a tensor", where));
}

}  // namespace qb
