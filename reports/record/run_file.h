// The run file: one HDF5 file per run (design, section 7). Written once, never changed. Schema: reports/README.md.
#pragma once
#include <cstdint>
#include <filesystem>

#include "reports/record/run_record.h"

namespace qb {

/// Writes to a temporary name, closes, syncs, reopens and verifies, renames, syncs the folder. Equal records give equal
/// bytes. Throws InputError naming path and reason when it cannot be written; then nothing is left behind.
void write_run_file(const std::filesystem::path& path, const RunRecord& record);

/// Throws DataError naming path and fault for anything that is not a run file of a known schema version, truncated and
/// damaged files included: a file is read as it was written or not at all, because its content digest must fit. Never
/// runs plugins and never follows external links. The HDF5 library itself may still crash on bytes made to hurt it:
RunRecord read_run_file(const std::filesystem::path& path);

/// What reading a foreign file may cost.
struct ReadLimits {
  int seconds = 60;
  std::uint64_t memory_bytes = std::uint64_t(8) << 30;
};

/// As read_run_file, for files of people we do not know: the same bytes are first read in a child process under
/// `limits`, and a child that crashes, hangs or exceeds them means DataError. No other thread may use HDF5 meanwhile.
RunRecord read_run_file_guarded(const std::filesystem::path& path, const ReadLimits& limits = {});

}  // namespace qb
