#include <fmt/format.h>

#include "reports/table_columns.h"

namespace qb {

namespace {

/// RFC 4180: quoted when it holds a comma, a quote or a line break; quotes are doubled.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + '"';
}

/// Numbers in the shortest form that reads back equal.
std::string cell(const ExactValue& value) {
  if (missing(value)) return {};
  return std::visit([](const auto& v) { return quoted(fmt::format("{}", v)); }, value);
}

}  // namespace

std::string csv_table(const RunRecord& run) {
  std::string text;
  const auto columns = exact_columns();
  for (const ExactColumn& column : columns)
    text += fmt::format("{}{}", column.name, &column == &columns.back() ? "\r\n" : ",");
  for (const SummaryRow& row : rows_for_reading(run))
    for (const ExactColumn& column : columns)
      text += cell(column.value(row)) + (&column == &columns.back() ? "\r\n" : ",");
  return text;
}

}  // namespace qb
