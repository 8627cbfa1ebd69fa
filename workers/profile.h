// The measured part of a machine's profile, kept between runs.
#pragma once
#include <filesystem>

#include "workers/records/hardware_profile.h"

namespace qb {

/// $XDG_CACHE_HOME/quantbench or ~/.cache/quantbench; /tmp/quantbench-<user> where there is no home.
std::filesystem::path default_cache_folder();

/// Fills the measured part from the cache folder. False, and nothing changed, when nothing valid was kept for this
/// machine key and build.
bool recall_peaks(HardwareProfile& profile, const std::filesystem::path& cache);
/// Recalls, or measures under the host-wide lock and keeps. A cache folder that cannot be written is no error.
void require_peaks(HardwareProfile& profile, const std::filesystem::path& cache, double budget_s);

}  // namespace qb
