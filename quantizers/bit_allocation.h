// Which of several sizes each layer gets, for the least sum of errors under a budget.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace qb {

/// One way to store a layer.
struct StorageChoice {
  std::int64_t bytes = 0;  ///< >= 0
  double error = 0;        ///< >= 0; errors of layers add up
};

struct Allocation {
  std::vector<std::size_t> chosen;  ///< index into each layer's choices; empty when nothing fits
  std::int64_t bytes = 0;
  double error = 0;
};

/// The choices with the least sum of errors whose bytes stay within `budget`; ties go to fewer bytes, then to earlier
/// choices. Solved by dynamic programming over 2^16 steps of the budget, rounded against the budget: what is found
/// always fits, and is optimal for a budget that is less by at most the number of layers / 2^16.
Allocation least_error(std::span<const std::vector<StorageChoice>> layers, std::int64_t budget);

/// The smallest budget, in steps of 2^-16 of the largest sizes, whose least error is at most `error`.
Allocation least_bytes(std::span<const std::vector<StorageChoice>> layers, double error);

}  // namespace qb
