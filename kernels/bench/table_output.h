// The table as text for people and programs.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/machine.h"
#include "kernels/bench/table.h"

namespace qb {

/// Text and markdown: one line per row, medians with their intervals. csv: the same numbers in full, one header line.
/// json: one object with "machine", "rows" (every round's values) and "missing". Ends with a line feed.
std::string to_text(const Table& table, const MachineFacts& machine, Output output);

/// "0.97 (0.95 to 0.99)"; "-" where there is none.
std::string spread_text(const Spread& spread, const char* unit);

/// The limit's name as people read it: "int8", "read bandwidth".
std::string words_of(Limit limit);

std::string error_text(const Comparison& proof);  ///< "exact", or "1.2e-07 of 4.9e-04": the error and its bound

}  // namespace qb
