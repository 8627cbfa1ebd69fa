// Matrix products as cells of the table.
#pragma once
#include <vector>

#include "kernels/bench/cell.h"

namespace qb {

/// Measures all of `kernels` on one product, y [m, n] = a * transpose(weights) with m = shape.m. With one row the
/// weights are cold and reading them may be the limit; with more rows they are hot and it is arithmetic.
std::vector<TableRow> measure_product(const Bench& bench, const Problem& problem, const LayerShape& shape,
                                      const std::vector<int>& thread_counts,
                                      const std::vector<const PreparedMatrix*>& kernels);

}  // namespace qb
