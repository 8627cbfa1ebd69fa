// What the printed tables have in common: the axes, the columns for people, and the columns for programs.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reports/table.h"

namespace qb {

/// A dimension of the study. What does not vary in a run is said once; what varies stands in every row or group
/// heading.
struct Axis {
  std::string_view name;
  bool heads_group;  ///< rows that share model, hardware and batch stand together
  std::string (*text)(const SummaryRow&);
};
std::span<const Axis> axes();
bool varies(const Axis& axis, std::span<const SummaryRow> rows);
/// "model glyphs-cnn, threads 1": the axes that do not vary, with their value; empty when all vary.
std::string constant_axes(std::span<const SummaryRow> rows);

/// The question that a column answers. Markdown gives each its own table.
enum class Part : std::uint8_t { bargain, loss };  ///< what it costs and buys; where accuracy and outputs changed

/// A column for people: rounded, with its interval; "-" where there is no number.
struct ShownColumn {
  Part part;
  std::string_view heading;
  std::string_view meaning;  ///< one sentence
  int rank;                  ///< the highest rank is dropped first where width is short; 0 stays
  std::string (*text)(const SummaryRow&);
};
std::span<const ShownColumn> shown_columns();

/// A column for programs: exact, with the unit in its name. Empty text, NaN and -1 mean missing.
using ExactValue = std::variant<std::string, double, std::int64_t>;
struct ExactColumn {
  std::string_view name;
  ExactValue (*value)(const SummaryRow&);
};
std::span<const ExactColumn> exact_columns();
bool missing(const ExactValue& value);

/// Axes that vary and head groups, and "model glyphs-cnn, batch 1": what the rows of a group share and other groups do
/// not.
std::vector<const Axis*> group_axes(std::span<const SummaryRow> rows);
std::string group_heading(const SummaryRow& row, const std::vector<const Axis*>& group);

/// Rows in the order of reading: model, hardware, batch, threads, kernel, then float before the methods, more bits
/// first.
std::vector<SummaryRow> rows_for_reading(const RunRecord& run);

/// "64 units: 60 ok (3 noisy), 2 failed, 2 unsupported"
std::string counts_text(std::span<const SummaryRow> rows);

/// One line without control characters, for terminals and tables.
std::string one_line(std::string_view text);

}  // namespace qb
