#include "kernels/bench/document.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/base/text.h"
#include "kernels/bench/table_output.h"

namespace qb {

namespace {

constexpr const char* kMethod =
    "Every kernel is first compared with its family's reference on the same packed weights, and with itself on one "
    "thread. Then {} rounds: in each, all kernels of one product have a turn, in rotating order. A turn runs a "
    "register-only loop of multiply-adds for 1.5 ms (for one row also a plain read of as many other cold copies "
    "as the turn will read) on the threads that the product uses, and directly after it products for about 4 ms, each in slices of "
    "which the median counts. Times are medians of the rounds; %peak is the median of each round's share of the rate "
    "measured just before; the peer ratio is the median of the peer's time over the kernel's in the same round. "
    "Intervals are between order statistics and cover the median with at least 95 %. Quantizing or rounding the "
    "activations is in every time, the peers' too; preparing weights is in none. One row is cold: each product reads "
    "the next of so many copies of the weights that all together exceed 192 MiB and six last-level caches. More rows are "
    "hot.\n";

std::string wanted_text(const Goal& goal) {
  std::vector<std::string> parts;
  if (goal.limit_share > 0) parts.push_back(fmt::format("{:.0f} % of limit", 100 * goal.limit_share));
  if (goal.peer_ratio > 0) parts.push_back(fmt::format("{:.2f} of peer", goal.peer_ratio));
  return join(parts, ", ");
}

std::string verdict(const GoalResult& one) {
  if (one.row == nullptr) return "no kernel yet";
  if (!one.met) return "**missed**";
  return one.goal->peer_ratio > 0 && std::isnan(one.ratio.median) ? "met, no peer here" : "met";
}

std::string goal_line(const GoalResult& one) {
  std::string limit = "-", share = "-", ratio = "-", kernel = "-", time = "-";
  if (one.row != nullptr) {
    limit = words_of(one.row->limit);
    share = spread_text({100 * one.share.median, 100 * one.share.low, 100 * one.share.high}, "{:.0f}");
    ratio = spread_text(one.ratio, "{:.2f}");
    kernel = one.row->kernel->name;
    time = duration_text(spread_of(one.row->time_ns).median);
  }
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", one.goal->product, one.format, one.shape,
                     one.threads, kernel, time, wanted_text(*one.goal), share + " % of " + limit, ratio, verdict(one));
}

std::string misses(const std::vector<Goal>& goals, const std::vector<GoalResult>& judged) {
  std::string text;
  for (const Goal& goal : goals) {
    std::vector<std::string> where;
    for (const GoalResult& one : judged)
      if (one.goal == &goal && !one.met)
        where.push_back(fmt::format("{} × {} × {}T", one.format, one.shape, one.threads));
    if (where.empty()) continue;
    text += fmt::format("- **{}** ({}): {}\n", goal.product, join(where, ", "),
                        goal.explanation.empty() ? "not explained yet." : goal.explanation);
  }
  return text.empty() ? "None.\n" : text;
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
  std::size_t met = 0, known = 0;
  for (const GoalResult& one : judged) {
    met += one.met;
    known += one.row != nullptr;
  }
  page += fmt::format(
      "\n## Goals\n\n{} of {} measured goals are met; {} more have no kernel yet.\n\n![shares of the "
      "limits](performance.svg)\n\n",
      met, known, judged.size() - known);
  page +=
      "| product | format | shape | threads | our best kernel | time | wanted | share of limit | ratio to best peer | "
      "verdict |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const GoalResult& one : judged) page += goal_line(one);
  page += "\n## Misses\n\n" + misses(goals, judged) + "\n## Goals measured elsewhere\n\n";
  for (const Goal& goal : goals)
    if (!goal.elsewhere.empty()) page += fmt::format("- {}: {}\n", goal.product, goal.elsewhere);
  page +=
      "\n## The whole table\n\nGOP/s counts 2 per multiply-add of the unpadded problem, GB/s the bytes of the prepared "
      "weights. Errors are multiples of the sum of |a w|, beside the bound that rounding alone explains.\n\n" +
      to_text(table, machine, Output::markdown);
  if (!table.missing.empty()) page += "\n## Not measured\n\n";
  for (const std::string& sentence : table.missing) page += fmt::format("- {}\n", sentence);
  return page;
}

std::string shares_picture(const std::vector<GoalResult>& judged) {
  constexpr int kBar = 14, kStep = 18, kLabel = 330, kScale = 5, kTop = 30;  // pixels; kScale per percent
  std::string bars;
  int line = 0;
  for (const GoalResult& one : judged) {
    if (one.row == nullptr || std::isnan(one.share.median)) continue;
    const int y = kTop + kStep * line++;
    const double width = kScale * std::min(100.0, 100 * one.share.median);
    bars += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} × {}, {}, {}T</text>", kLabel - 6, y + kBar - 3,
                        name_of(one.row->kernel->activations), one.format, one.shape, one.threads);
    bars += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>", kLabel, y, width, kBar,
                        one.row->limit == Limit::read ? "#7aa6c2" : "#4c8c5a");
    bars += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{:.0f} %</text>", kLabel + width + 4, y + kBar - 3,
                        100 * one.share.median);
    if (one.goal->limit_share > 0)
      bars += fmt::format("<rect x=\"{:.1f}\" y=\"{}\" width=\"2\" height=\"{}\" fill=\"#b03030\"/>",
                          kLabel + 100 * kScale * one.goal->limit_share, y - 1, kBar + 2);
    bars += '\n';
  }
  constexpr const char* kTitle = "Share of the measured limit: green arithmetic, blue reading; red marks are goals";
  const int width = kLabel + 100 * kScale + 50, height = kTop + kStep * line + 10;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"10\" y=\"18\" font-size=\"13\">{2}</text>\n{3}</svg>\n",
      width, height, kTitle, bars);
}

}  // namespace qb
