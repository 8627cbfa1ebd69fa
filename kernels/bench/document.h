// The page about performance: the machine, the goals, the whole table.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/goals.h"
#include "kernels/bench/machine.h"

namespace qb {

/// The page as Markdown. `command` is the command that wrote it.
std::string performance_page(const Table& table, const std::vector<Goal>& goals, const std::vector<GoalResult>& judged,
                             const MachineFacts& machine, const std::string& command, int rounds);

}  // namespace qb
