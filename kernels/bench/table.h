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
  void add(std::vector<TableRow> more);
};

/// Measures everything that `options` asks for. Progress goes to stderr.
Table measure_table(const Options& options);

}  // namespace qb
