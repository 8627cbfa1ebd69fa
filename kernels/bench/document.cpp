#include "kernels/bench/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/text.h"
#include "kernels/bench/table_output.h"

namespace qb {

namespace {

constexpr const char* kMethod =
    "- **Proof first.** Every kernel is compared with its family's reference on the same packed weights, and with itself "
    "on one thread; a wrong result has no time.\n"
    "- **Rounds.** {} rounds: in each, all kernels of one shape have a turn, in rotating order. A turn runs the loop that "
    "gives the limit (multiply-adds on registers for 1.5 ms, or a plain read), on the threads that the kernel uses, and "
    "directly after it the kernel for about 4 ms, each in slices of which the median counts, without those that lost the "
    "processor.\n"
    "- **Figures.** Times are medians of the rounds; a share of the limit is the median of each round's share of the rate "
    "measured just before; a ratio is the median of the peer's time over the kernel's in the same round, so that above 1 "
    "is faster than the peer. Intervals in brackets are between order statistics and cover the median with at least "
    "95 %.\n"
    "- **Included.** Quantizing or rounding the activations is in every time, the peers' too; preparing weights is in "
    "none. Convolutions and depthwise convolutions turn float32 planes into float32 planes; `codes` behind a shape: int8 "
    "codes that lie as each kernel wants them into float32 pixels.\n"
    "- **Memory.** One row is cold: each product uses the next of so many copies of the weights that all together exceed "
    "192 MiB and six last-level caches. Everything else is hot.\n";

std::string wanted_text(const Goal& goal) {
  std::vector<std::string> parts;
  if (goal.limit_share > 0) parts.push_back(fmt::format("{:.0f} % of limit", 100 * goal.limit_share));
  if (goal.peer_ratio > 0) parts.push_back(fmt::format("{:.2f} of peer", goal.peer_ratio));
  return join(parts, ", ");
}

std::string verdict(const GoalResult& one) {
  if (one.row == nullptr) return "no kernel yet";
  if (one.disturbed) return "disturbed";
  if (!one.met) return "**missed**";
  return one.goal->peer_ratio > 0 && std::isnan(one.ratio.median) ? "met, no peer here" : "met";
}

std::string share_text(const TableRow& row) {
  const Spread share = spread_of(row.limit_share);
  return spread_text({100 * share.median, 100 * share.low, 100 * share.high}, "{:.0f}") + " % of " +
         words_of(row.limit);
}

std::string goal_line(const GoalResult& one) {
  std::string share = "-", ratio = "-", kernel = "-", time = "-";
  if (one.row != nullptr) {
    share = share_text(*one.row);
    ratio = spread_text(one.ratio, "{:.2f}");
    kernel = fmt::format("`{}`", one.row->kernel->name);
    time = duration_text(spread_of(one.row->time_ns).median);
  }
  return fmt::format("| {}, {} | {} | {} | {} | {} | {} | {} | {} |\n", one.format, one.shape, one.threads, kernel,
                     time, wanted_text(*one.goal), share, ratio, verdict(one));
}

/// A table per goal.
std::string goal_tables(const std::vector<GoalResult>& judged) {
  std::string text;
  const Goal* last = nullptr;
  for (const GoalResult& one : judged) {
    if (one.goal != last) {
      last = one.goal;
      text += fmt::format(
          "\n**{}**\n\n| format, shape | threads | our best kernel | time | wanted | share of limit | ratio to peer | "
          "verdict |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
          last->product);
    }
    text += goal_line(one);
  }
  return text;
}

std::string misses(const std::vector<Goal>& goals, const std::vector<GoalResult>& judged) {
  std::string text;
  for (const Goal& goal : goals) {
    std::vector<std::string> where;
    for (std::size_t i = 0; i < judged.size();) {
      const GoalResult& first = judged[i];
      std::vector<std::string> threads;
      for (; i < judged.size() && judged[i].goal == first.goal && judged[i].format == first.format &&
             judged[i].shape == first.shape;
           ++i)
        if (judged[i].goal == &goal && !judged[i].met && !judged[i].disturbed)
          threads.push_back(fmt::format("{}T", judged[i].threads));
      if (!threads.empty())
        where.push_back(fmt::format("{}, {}: {}", first.format, first.shape, join(threads, " and ")));
    }
    if (where.empty()) continue;
    text += fmt::format("- **{}** ({}): {}\n", goal.product, join(where, "; "),
                        goal.explanation.empty() ? "not explained yet." : goal.explanation);
  }
  return text.empty() ? "None.\n" : text;
}

std::string heading_of(const TableRow& row) {
  if (row.shape.work == Work::product) return fmt::format("Products: {}", to_text(row.format));
  if (row.shape.work == Work::depthwise) return "Depthwise convolutions";
  if (row.shape.work == Work::attention) return "Attention";
  return row.shape.work == Work::rows ? "Rows of activations" : "Convolutions";
}

std::string rate_text(double per_ns) { return per_ns > 0 ? fmt::format("{:.{}f}", per_ns, per_ns < 100 ? 1 : 0) : "-"; }

std::string table_line(const TableRow& row) {
  std::string line =
      fmt::format("| `{}`{} | {}{} | {} |", row.kernel->name, row.kernel->peer ? " (peer)" : "",
                  row.shape.work == Work::product ? "" : to_text(row.format) + ", ", to_text(row.shape), row.threads);
  if (!row.proof.fault.empty()) return line + fmt::format(" {} | | | | | |\n", row.proof.fault);
  const Spread time = spread_of(row.time_ns);
  const std::string ratio =
      row.best_peer == row.kernel ? "best peer" : spread_text(spread_of(row.peer_ratio), "{:.2f}");
  return line + fmt::format(" {} ± {:.0f} % | {} | {} | {} | {} | {} |\n", duration_text(time.median),
                            50 * (time.high - time.low) / time.median, rate_text(operations(row.shape) / time.median),
                            rate_text(double(row.bytes) / time.median), share_text(row), ratio, error_text(row.proof));
}

/// A table per format of products, and one per kind of everything else.
std::string whole_tables(const Table& table) {
  std::string text, last;
  for (const TableRow& row : table.rows) {
    if (const std::string heading = heading_of(row); heading != last) {
      last = heading;
      text += fmt::format(
          "\n### {}\n\n| kernel | shape | threads | time | GOP/s | GB/s | share of limit | ratio to peer | error |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
          heading);
    }
    text += table_line(row);
  }
  return text;
}

/// How the judgements end.
struct Count {
  std::size_t met = 0, missed = 0, disturbed = 0, without = 0;
};

Count count_of(const std::vector<GoalResult>& judged) {
  Count count;
  for (const GoalResult& one : judged) {
    if (one.row == nullptr)
      ++count.without;
    else
      ++(one.met ? count.met : one.disturbed ? count.disturbed : count.missed);
  }
  return count;
}

}  // namespace

std::string performance_page(const Table& table, const std::vector<Goal>& goals, const std::vector<GoalResult>& judged,
                             const MachineFacts& machine, const std::string& command, int rounds) {
  std::string page = fmt::format(
      "# Performance\n\nWritten by `{}`; do not edit. Explanations of misses are in the goals "
      "file and survive.\n\n## Machine\n\n| | |\n| --- | --- |\n",
      command);
  for (const auto& [name, value] : machine) page += fmt::format("| {} | {} |\n", name, value);
  page +=
      "\nThe machine is virtual and shared with other work: read ratios, not times, and read them with their "
      "intervals.\n\n## How it was measured\n\n" +
      fmt::format(fmt::runtime(kMethod), rounds);
  const Count count = count_of(judged);
  page += fmt::format(
      "\n## Goals\n\nOf {} goals on formats, shapes and threads {} are met and {} missed; {} were disturbed (a processor was "
      "lost: a share far above 1, or several threads slower than one); {} have no kernel yet.\n\n![shares of the "
      "limits](performance.svg)\n",
      judged.size(), count.met, count.missed, count.disturbed, count.without);
  page += goal_tables(judged) + "\n## Misses\n\n" + misses(goals, judged) + "\n## Goals measured elsewhere\n\n";
  for (const Goal& goal : goals)
    if (!goal.elsewhere.empty()) page += fmt::format("- {}: {}\n", goal.product, goal.elsewhere);
  page +=
      "\n## The whole table\n\nGOP/s counts 2 per multiply-add of the unpadded problem; GB/s the bytes of the prepared "
      "weights, of planes read and written, of float32 rows read. Errors are multiples of the sum of |a w|, beside the "
      "bound that rounding alone explains. Behind ± stands half the width of the interval.\n" +
      whole_tables(table);
  if (!table.missing.empty()) page += "\n## Not measured\n\n";
  for (const std::string& sentence : table.missing) page += fmt::format("- {}\n", sentence);
  return page;
}

}  // namespace qb
