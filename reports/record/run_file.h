// The run file: one HDF5 file per run (design, section 7). Written once, never changed.
#pragma once
#include <filesystem>

#include "reports/record/run_record.h"

namespace qb {

/// Writes to a temporary name, closes, syncs, reopens and verifies, renames, syncs the folder. Equal records give equal
/// bytes. Throws InputError naming path and reason when it cannot be written; then nothing is left behind.
void write_run_file(const std::filesystem::path& path, const RunRecord& record);

/// Throws DataError naming path and fault for anything that is not a run file of a known schema version, truncated and
/// damaged files included. Never runs plugins and never follows external links.
RunRecord read_run_file(const std::filesystem::path& path);

}  // namespace qb
