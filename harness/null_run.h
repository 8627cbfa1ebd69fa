// Measures the coordinator itself: units that nobody measures, settled and synced as real ones are.
#pragma once
#include <cstdint>
#include <filesystem>

#include "kernels/base/json.h"

namespace qb {

/// Lets `workers` simulated workers lease and report null units, each message written and parsed as JSON, with one synced
/// commit per round of all workers, for about `budget_s` seconds. The journal is made in `folder` and removed. Sockets are not part of it.
/// Returns {"workers", "units", "seconds", "units_per_s", "commits"}.
Json settle_null_units(int workers, double budget_s, const std::filesystem::path& folder);

}  // namespace qb
