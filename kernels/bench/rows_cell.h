// Making rows of activations as cells of the table.
#pragma once
#include <vector>

#include "kernels/bench/cell.h"
#include "kernels/bench/options.h"

namespace qb {

/// Measures how float32 rows [m, k] become int8 codes by row (with scales and sums), bf16, and signs: make_rows() with
/// the variants that `options` asks for by "best", "reference" or "all". The limit is reading the very rows, from
/// wherever in the caches they are; rows of as many bytes as cold weights are called cold. Every variant must give the
/// bits of its reference.
std::vector<TableRow> measure_rows(const Bench& bench, const Options& options, const LayerShape& shape);

}  // namespace qb
