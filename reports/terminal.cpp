#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/text.h"
#include "reports/table_columns.h"

namespace qb {

namespace {

constexpr std::string_view kGap = "  ";

/// Characters, not bytes: all of ours are one cell wide.
std::size_t shown_width(std::string_view text) {
  return std::size_t(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

struct Cells {
  std::string heading;
  bool left;                       ///< words begin at the left, numbers end at the right
  int rank;                        ///< as ShownColumn::rank; 0 for axes
  std::size_t width;               ///< of the heading or the widest text
  std::vector<std::string> texts;  ///< one per row
  void add(std::string text) {
    width = std::max(width, shown_width(text));
    texts.push_back(std::move(text));
  }
};

std::string aligned(const Cells& cells, const std::string& text) {
  const std::string blanks(cells.width - shown_width(text), ' ');
  return cells.left ? text + blanks : blanks + text;
}

std::string without_blanks_at_end(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

/// Words broken into lines of at most `width` characters (a longer word keeps its line), all but the first indented.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string result;
  std::size_t used = 0;
  for (const std::string_view word : split(text, ' ')) {
    if (used > 0 && used + 1 + shown_width(word) > width) {
      result.append(1, '\n').append(indent, ' ');
      used = 0;
    }
    if (used > 0) result += ' ';
    result += word;
    used += shown_width(word) + (used > 0 ? 1 : 0);
  }
  return result;
}

std::vector<Cells> columns_of(const std::vector<SummaryRow>& rows) {
  std::vector<Cells> columns;
  for (const Axis& axis : axes()) {
    if (axis.heads_group || !varies(axis, rows)) continue;
    Cells& cells = columns.emplace_back(Cells{std::string(axis.name), true, 0, shown_width(axis.name), {}});
    for (const SummaryRow& row : rows) cells.add(axis.text(row));
  }
  for (const ShownColumn& column : shown_columns()) {
    Cells cells{std::string(column.heading), column.rank == 0, column.rank, shown_width(column.heading), {}};
    bool says_something = false;
    for (const SummaryRow& row : rows) {
      const bool has_words = !row.reason.empty();  // then the reason stands where the numbers would
      cells.add(has_words ? std::string() : column.text(row));
      says_something |= !has_words && cells.texts.back() != "-" && cells.texts.back() != "ok";
    }
    if (says_something) columns.push_back(std::move(cells));
  }
  return columns;
}

std::size_t width_of(const std::vector<Cells>& columns) {
  std::size_t width = 0;
  for (const Cells& cells : columns) width += kGap.size() + cells.width;
  return width;
}

/// Drops columns of the highest rank until the rest fits; gives their headings.
std::vector<std::string> drop_to_fit(std::vector<Cells>& columns, std::size_t width) {
  std::vector<std::string> dropped;
  while (width_of(columns) > width) {
    const auto least = std::max_element(columns.begin(), columns.end(),
                                        [](const Cells& a, const Cells& b) { return a.rank < b.rank; });
    if (least == columns.end() || least->rank <= 1) break;
    dropped.push_back(least->heading);
    columns.erase(least);
  }
  return dropped;
}

std::string row_line(const std::vector<Cells>& columns, const SummaryRow& row, std::size_t number, std::size_t width) {
  std::string line;
  for (const Cells& cells : columns) {
    const bool is_axis = cells.rank == 0 && cells.heading != "status";
    if (!is_axis && !row.reason.empty()) continue;
    line += std::string(kGap) + aligned(cells, cells.texts[number]);
  }
  if (row.reason.empty()) return without_blanks_at_end(line);
  line += kGap;
  const std::size_t indent = shown_width(line);
  return line +
         wrapped(row.status + ": " + one_line(row.reason), std::max<std::size_t>(width - std::min(width, indent), 30),
                 indent) +
         "\n";
}

}  // namespace

std::string terminal_table(const RunRecord& run, int width) {
  const std::size_t room = std::size_t(std::clamp(width, 40, 1000));
  const std::vector<SummaryRow> rows = rows_for_reading(run);
  std::vector<Cells> columns = columns_of(rows);
  const std::vector<std::string> dropped = drop_to_fit(columns, room);
  std::string text =
      wrapped(fmt::format("{}, run {}: {}", one_line(run.study_name), one_line(run.run_id), counts_text(rows)), room,
              2) +
      "\n";
  if (const std::string same = constant_axes(rows); !same.empty())
    text += wrapped("The same in every row: " + same, room, 2) + "\n";
  if (!dropped.empty()) text += wrapped("Left out for lack of width: " + join(dropped, ", "), room, 2) + "\n";

  std::string headings;
  for (const Cells& cells : columns) headings += std::string(kGap) + aligned(cells, cells.heading);
  text += fmt::format("\n{}", without_blanks_at_end(headings));
  const std::vector<const Axis*> group_of = group_axes(rows);
  std::string group;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::string heading = group_heading(rows[i], group_of); heading != group) {
      text += heading + "\n";
      group = std::move(heading);
    }
    text += row_line(columns, rows[i], i, room);
  }
  if (std::any_of(rows.begin(), rows.end(), [](const SummaryRow& row) { return !row.noise.empty(); }))
    text +=
        wrapped("noisy: timed on a machine that was not quiet; the reasons stand in /noise of the run file", room, 2) +
        "\n";
  return text;
}

}  // namespace qb
