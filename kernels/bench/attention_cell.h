// Attention as a cell of the table.
#pragma once
#include <vector>

#include "kernels/bench/cell.h"
#include "kernels/bench/options.h"

namespace qb {

/// Measures the variants of kernels/attention that `options` asks for, and attention composed of OpenBLAS's products
/// ("attention_f32_openblas"), on random queries, keys and values in which all positions of a head lie side by side.
/// The limit is float32 arithmetic on the pairs of a query and a key that see each other, or reading keys and values;
/// as many bytes of them as cold weights are called cold. Every variant must be within a bound of the reference.
std::vector<TableRow> measure_attention(const Bench& bench, const Options& options, const LayerShape& shape);

}  // namespace qb
