// The table: families, formats, shapes and threads.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/cell.h"
#include "kernels/bench/options.h"

namespace qb {

/// What a run of the table gives.
struct Table {
  std::vector<TableRow> rows;
  std::vector<std::string> missing;  ///< one sentence per format or kernel that gave no row
};

/// Whether `kernel` belongs to the family that is chosen for its activations and this format, and reads the format as
/// what it is: families that take float32 weights decode whatever they are given to float32 or bf16, so they are
/// measured on that format only.
bool applies(const KernelInfo& kernel, const QuantFormat& format, std::int64_t k);

/// Measures everything that `options` asks for. Progress goes to stderr.
Table measure_table(const Options& options);

}  // namespace qb
