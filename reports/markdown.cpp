#include <fmt/format.h>

#include "kernels/base/text.h"
#include "reports/table_columns.h"

namespace qb {

namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : one_line(text)) {
    if (c == '|' || c == '\\' || c == '`' || c == '*' || c == '_' || c == '<' || c == '~') result += '\\';
    result += c;
  }
  return result;
}

/// One table of a part's columns, with the axes that vary and do not stand in the heading.
class PartTable {
 public:
  PartTable(Part part, const std::vector<SummaryRow>& rows) : group_(group_axes(rows)) {
    for (const Axis& axis : axes())
      if (!axis.heads_group && varies(axis, rows)) axes_.push_back(&axis);
    for (const ShownColumn& column : shown_columns())
      if (column.part == part) columns_.push_back(&column);
  }

  /// A table per group, each below its heading.
  std::string text(const std::vector<SummaryRow>& rows) const {
    std::string text, group = "none yet";
    for (const SummaryRow& row : rows) {
      if (std::string heading = group_heading(row, group_); heading != group) {
        text += heading.empty() ? "\n" : fmt::format("\n**{}**\n\n", escaped(heading));
        text += header();
        group = std::move(heading);
      }
      text += line(row);
    }
    return text;
  }

 private:
  std::string header() const {
    std::string names = "|", rule = "|";
    for (const Axis* axis : axes_) {
      names += fmt::format(" {} |", axis->name);
      rule += " --- |";
    }
    for (const ShownColumn* column : columns_) {
      names += fmt::format(" {} |", column->heading);
      rule += column->rank == 0 ? " --- |" : " ---: |";
    }
    return names + "\n" + rule + "\n";
  }

  std::string line(const SummaryRow& row) const {
    std::string text = "|";
    for (const Axis* axis : axes_) text += fmt::format(" {} |", escaped(axis->text(row)));
    for (const ShownColumn* column : columns_) {
      const bool says_why = column->rank == 0 && !row.reason.empty();
      text += says_why ? fmt::format(" {}: {} |", escaped(row.status), escaped(row.reason))
                       : fmt::format(" {} |", escaped(column->text(row)));
    }
    return text + "\n";
  }

  std::vector<const Axis*> group_, axes_;
  std::vector<const ShownColumn*> columns_;
};

/// Folded away until it is asked for: GitHub and GitLab show the summary alone.
std::string folded(std::string_view summary, const std::string& lines) {
  return lines.empty() ? std::string()
                       : fmt::format("\n<details><summary>{}</summary>\n\n{}\n</details>\n", summary, lines);
}

std::string words(const Combination& c) {
  return fmt::format("{} {} {} {} batch {} threads {}", escaped(c.model), escaped(c.quantizer), escaped(c.hardware),
                     escaped(c.kernel), c.batch, c.threads);
}

std::string machine_text(const HardwareProfile& m) {
  return fmt::format("- machine {}: {}, {} processors, {} memory, {}; Linux {}; {} {}; build {}\n",
                     m.machine_key.substr(0, 8), escaped(m.cpu_model), m.processors, bytes_text(double(m.memory_bytes)),
                     escaped(m.isa), escaped(m.kernel_release), escaped(m.compiler), escaped(m.flags),
                     escaped(m.build));
}

std::string footnotes(const RunRecord& run, const std::vector<SummaryRow>& rows) {
  std::string columns, machines, noisy, excluded;
  for (const ShownColumn& column : shown_columns())
    columns += fmt::format("- {}: {}\n", column.heading, escaped(column.meaning));
  for (const HardwareProfile& machine : run.machines) machines += machine_text(machine);
  for (const SummaryRow& row : rows)
    if (!row.noise.empty()) noisy += fmt::format("- {}: {}\n", words(row.combination), escaped(row.noise));
  for (const ExcludedRow& row : run.excluded)
    excluded += fmt::format("- {}: {}\n", words(row.combination), escaped(row.reason));
  return folded("What the columns mean", columns) + folded("Machines", machines) +
         folded("Timed on a machine that was not quiet", noisy) + folded("Left out of the plan", excluded);
}

}  // namespace

std::string markdown_table(const RunRecord& run) {
  const std::vector<SummaryRow> rows = rows_for_reading(run);
  std::vector<SummaryRow> judged;
  for (const SummaryRow& row : rows)
    if (row.samples > 0) judged.push_back(row);
  std::string text =
      fmt::format("# {}\n\n{}. Run {}, {} to {}, build {}.\n", escaped(run.study_name), counts_text(rows),
                  escaped(run.run_id), escaped(run.created_utc), escaped(run.finished_utc), escaped(run.build));
  if (const std::string same = constant_axes(rows); !same.empty())
    text += fmt::format("The same in every row: {}.\n", escaped(same));
  text += fmt::format("\n## What it costs and buys\n{}", PartTable(Part::bargain, rows).text(rows));
  if (!judged.empty())
    text += fmt::format("\n## Where answers and outputs differ from the float model's\n{}",
                        PartTable(Part::loss, rows).text(judged));
  return text + footnotes(run, rows);
}

}  // namespace qb
