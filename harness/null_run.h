// Measures the coordinator itself: units that nobody measures, settled and synced as real ones are.
#pragma once
#include <cstdint>
#include <filesystem>

#include "kernels/base/json.h"

namespace qb {

/// Lets `workers` simulated workers lease and report null units for about `budget_s` seconds, each message as JSON
/// text, with one synced commit per round of all workers. The journal is made in `folder` and removed. Returns
/// {"workers", "units", "seconds", "units_per_s", "commits"}; seconds are those of the coordinator's side: neither the
/// workers' own work nor sockets are part of them.
Json settle_null_units(int workers, double budget_s, const std::filesystem::path& folder);

}  // namespace qb
