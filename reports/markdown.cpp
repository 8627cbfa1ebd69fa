#include <fmt/format.h>

#include "kernels/base/text.h"
#include "reports/table_columns.h"

namespace qb {

namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : one_line(text)) {
    if (c == '|' || c == '\\' || c == '`' || c == '*' || c == '_' || c == '<') result += '\\';
    result += c;
  }
  return result;
}

std::string header(const std::vector<const Axis*>& shown_axes) {
  std::string names = "|", rule = "|";
  for (const Axis* axis : shown_axes) {
    names += fmt::format(" {} |", axis->name);
    rule += " --- |";
  }
  for (const ShownColumn& column : shown_columns()) {
    names += fmt::format(" {} |", column.heading);
    rule += column.rank == 0 ? " --- |" : " ---: |";
  }
  return names + "\n" + rule + "\n";
}

std::string machine_text(const HardwareProfile& m) {
  return fmt::format("- machine {}: {}, {} processors, {} memory, {}; Linux {}; {} {}; build {}\n", m.machine_key.substr(0, 8), escaped(m.cpu_model),
                     m.processors, bytes_text(double(m.memory_bytes)), escaped(m.isa), escaped(m.kernel_release), escaped(m.compiler),
                     escaped(m.flags), escaped(m.build));
}

std::string footnotes(const RunRecord& run, const std::vector<SummaryRow>& rows) {
  std::string text = "\n";
  for (const ShownColumn& column : shown_columns()) text += fmt::format("- {}: {}\n", column.heading, column.meaning);
  for (const HardwareProfile& machine : run.machines) text += machine_text(machine);
  for (const SummaryRow& row : rows)
    if (!row.noise.empty()) text += fmt::format("- noisy: unit {}: {}\n", row.unit.substr(0, 8), escaped(row.noise));
  for (const ExcludedRow& row : run.excluded) {
    const Combination& c = row.combination;
    text += fmt::format("- excluded: {} {} {} {} batch {} threads {}: {}\n", escaped(c.model), escaped(c.quantizer), escaped(c.hardware),
                        escaped(c.kernel), c.batch, c.threads, escaped(row.reason));
  }
  return text;
}

}  // namespace

std::string markdown_table(const RunRecord& run) {
  const std::vector<SummaryRow> rows = rows_for_reading(run);
  std::vector<const Axis*> shown_axes;
  for (const Axis& axis : axes())
    if (varies(axis, rows)) shown_axes.push_back(&axis);
  std::string text = fmt::format("# {}\n\nRun {}, {} to {}, build {}. {}.\n", escaped(run.study_name), escaped(run.run_id),
                                 escaped(run.created_utc), escaped(run.finished_utc), escaped(run.build), counts_text(rows));
  if (const std::string same = constant_axes(rows); !same.empty()) text += fmt::format("The same in every row: {}.\n", escaped(same));
  text += fmt::format("\n{}", header(shown_axes));
  for (const SummaryRow& row : rows) {
    text += '|';
    for (const Axis* axis : shown_axes) text += fmt::format(" {} |", escaped(axis->text(row)));
    for (const ShownColumn& column : shown_columns()) {
      const bool says_why = column.rank == 0 && !row.reason.empty();
      text += says_why ? fmt::format(" {}: {} |", escaped(row.status), escaped(row.reason)) : fmt::format(" {} |", escaped(column.text(row)));
    }
    text += '\n';
  }
  return text + footnotes(run, rows);
}

}  // namespace qb
