// The commands `run` and `serve`: from a study to a run file.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/run_folder.h"

namespace qb {

enum class TableFormat { terminal, markdown, csv, json, svg };

struct RunOptions {
  std::string study;
  std::vector<std::string> data;  ///< folders, before the shipped configs
  std::string out = "runs";
  std::optional<int> workers;  ///< local processes; default: the study's number, 0 for `serve`
  Begin begin = Begin::first;
  std::uint16_t port = 0;  ///< 0: any free one
  std::string bind = "127.0.0.1";
  std::vector<std::string> units;  ///< only units whose id begins so
  TableFormat format = TableFormat::terminal;
  bool serve = false;  ///< workers dial in: old leases and the token outlive the coordinator
  double unaccepted_patience_s =
      15;  ///< `run` ends when for so long nothing but units that no worker accepts were left
};

inline constexpr int kExitInterrupted = 130;

/// Prints progress to standard error and the table to standard output. Returns kExitDone, kExitFailedUnits when a unit
/// failed, timed out, is mistrusted or was never settled, or kExitInterrupted after SIGINT or SIGTERM.
int run_study(const RunOptions& options);

}  // namespace qb
