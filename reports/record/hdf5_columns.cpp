#include "reports/record/hdf5_columns.h"

#include <fmt/format.h>

#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::string_view kEllipsis = "…";

/// The longest beginning of valid UTF-8 that leaves room for the ellipsis, without NUL bytes, and the ellipsis.
std::string cut_text(std::string_view text, std::size_t width) {
  text = text.substr(0, std::min(text.find('\0'), width - kEllipsis.size()));
  while (!valid_utf8(text)) text.remove_suffix(1);
  return std::string(text) + std::string(kEllipsis);
}

}  // namespace

std::size_t TableBytes::row_bytes() const {
  std::size_t sum = 0;
  for (const Field& field : fields) sum += field.bytes;
  return sum;
}

void put_cell(TableBytes& table, const Field& field, std::size_t row, std::size_t offset, const void* value,
              LongTexts& long_texts) {
  char* cell = table.bytes.data() + offset;
  if (field.type != ColumnType::text) {
    std::memcpy(cell, value, field.bytes);
    return;
  }
  QB_EXPECTS(field.bytes >= 8);
  const auto& text = *static_cast<const std::string*>(value);
  if (!valid_utf8(text))
    throw InputError(
        fmt::format("table '{}', row {}: the text of column '{}' is not UTF-8", table.name, row, field.name));
  if (text.size() <= field.bytes && text.find('\0') == std::string::npos) {
    std::memcpy(cell, text.data(), text.size());
    return;
  }
  const std::string shown = cut_text(text, field.bytes);
  std::memcpy(cell, shown.data(), shown.size());
  long_texts[{table.name, field.name, std::int64_t(row)}] = text;
}

void get_cell(const TableBytes& table, const Field& field, std::size_t row, std::size_t offset, void* place,
              const LongTexts& long_texts) {
  const char* cell = table.bytes.data() + offset;
  if (field.type == ColumnType::flag) {
    if (*cell != 0 && *cell != 1)
      throw DataError(
          fmt::format("table '{}', row {}: flag '{}' is {}, neither 0 nor 1", table.name, row, field.name, int(*cell)));
    *static_cast<bool*>(place) = *cell == 1;
    return;
  }
  if (field.type != ColumnType::text) {
    std::memcpy(place, cell, field.bytes);
    return;
  }
  auto& text = *static_cast<std::string*>(place);
  text.assign(cell, ::strnlen(cell, field.bytes));
  if (!valid_utf8(text))
    throw DataError(
        fmt::format("table '{}', row {}: the text of column '{}' is not UTF-8", table.name, row, field.name));
  if (long_texts.empty() || !text.ends_with(kEllipsis)) return;
  if (const auto found = long_texts.find({table.name, field.name, std::int64_t(row)}); found != long_texts.end())
    text = found->second;
}

}  // namespace qb
