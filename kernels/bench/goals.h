// What each product should reach, and whether it does.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/bench/table.h"

namespace qb {

/// One line of the goals file: products of some formats with some row counts, attention of some numbers of queries, or
/// every shape of another work.
struct Goal {
  Work work = Work::product;
  std::string product;                   ///< what people call it
  std::vector<Activations> activations;  ///< that count for it
  std::vector<std::string> formats;
  std::vector<std::int64_t> rows;  ///< of products; queries of attention
  double limit_share = 0;          ///< wanted share of the measured limit; 0: none
  double peer_ratio = 0;           ///< wanted ratio to the best peer in the process; 0: none
  std::string explanation;         ///< why it is missed, where it is; written by people, kept in the file
  std::string elsewhere;  ///< for goals that this program does not measure: where they are; then only `product` counts
};

/// {"goals": [{"product": ..., "activations": [...], "formats": [...], "rows": [...], "limit_share": 0.72,
/// "peer_ratio": 1.0, "explanation": ...} or likewise with "work": "depthwise" in place of "rows" (beside them:
/// "attention") or {"product": ..., "elsewhere": ...}, ...]}. Throws InputError naming the file, the goal and the
/// fault.
std::vector<Goal> read_goals(const std::filesystem::path& file);

/// A goal on one shape and thread count, with the best kernel of ours for it.
struct GoalResult {
  const Goal* goal = nullptr;
  const TableRow* row = nullptr;  ///< null: no kernel of the table computes this; format and shape say what
  std::string format;
  std::string shape;  ///< "512 rows", or the whole shape where the work is no product
  int threads = 1;
  Spread share, ratio;  ///< NaN where there is none
  bool met = false;  ///< every median that is asked for reaches what is wanted; a peer that is missing decides nothing
  /// Some processor was lost: the share is far above 1, or several threads took longer than one. Then not met.
  bool disturbed = false;
};

/// Every goal on every combination of its formats and rows (shapes of its work in the table) with every thread count of
/// the table, in this order.
std::vector<GoalResult> judge(const std::vector<Goal>& goals, const Table& table, const std::vector<int>& threads);

}  // namespace qb
