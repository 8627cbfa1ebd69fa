// Tables of plain structs, declared as C++ tables of columns, as rows of bytes that an HDF5 compound type describes.
//
// A cell of text has a fixed width. Text that does not fit, or that holds a NUL byte, is cut at a character, ends in
// "…", and stands in full among the LongTexts, from where reading restores it: nothing is lost and nothing has variable
// length.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

namespace qb {

enum class ColumnType : std::uint8_t { text, float64, int32, int64, uint64, flag, byte };

/// A column without its struct: what the file knows of it. Text is UTF-8 padded with NUL; a flag is one byte, 0 or 1;
/// `byte` is for flat arrays of raw bytes.
struct Field {
  std::string name, unit;
  ColumnType type;
  std::size_t bytes;  ///< width of a cell
  bool operator==(const Field&) const = default;
};

/// Rows of one table, packed without gaps in the order of `fields`. Invariant: bytes.size() == rows * row_bytes().
struct TableBytes {
  std::string name;   ///< path in the file, without the leading '/'
  bool flat = false;  ///< one field, stored as a plain array and not as a compound
  std::vector<Field> fields;
  std::size_t rows = 0;
  std::string bytes;
  std::size_t row_bytes() const;
};

/// Texts that are wider than their column, by (table, column, row).
using LongTexts = std::map<std::tuple<std::string, std::string, std::int64_t>, std::string>;

template <class Row>
struct Column {
  std::string_view name, unit;
  ColumnType type;
  std::size_t bytes;
  int since;                         ///< first schema version that has it; required from then on
  const void* (*value)(const Row&);  ///< std::string, double, int32, int64, uint64 or bool, as the type says
  void* (*place)(Row&);
  Field field() const { return {std::string(name), std::string(unit), type, bytes}; }
};

namespace column_detail {
template <class T>
struct Member;
template <class Row_, class Value_>
struct Member<Value_ Row_::*> {
  using Row = Row_;
  using Value = Value_;
};
template <auto First, auto... Rest, class Row>
auto& follow(Row& row) {
  if constexpr (sizeof...(Rest) == 0)
    return row.*First;
  else
    return follow<Rest...>(row.*First);
}
template <class Value>
constexpr ColumnType type_of() {
  if constexpr (std::is_same_v<Value, std::string>)
    return ColumnType::text;
  else if constexpr (std::is_same_v<Value, double>)
    return ColumnType::float64;
  else if constexpr (std::is_same_v<Value, std::int32_t>)
    return ColumnType::int32;
  else if constexpr (std::is_same_v<Value, std::int64_t>)
    return ColumnType::int64;
  else if constexpr (std::is_same_v<Value, std::uint64_t>)
    return ColumnType::uint64;
  else {
    static_assert(std::is_same_v<Value, bool>, "a column is text, a number or a flag");
    return ColumnType::flag;
  }
}
}  // namespace column_detail

/// A column for a member, or a member of a member: column<&PlanRow::unit, &WorkUnit::seed>("seed").
/// `width` in bytes is for text only, at least 8.
template <auto First, auto... Rest>
constexpr auto column(std::string_view name, std::string_view unit = {}, std::size_t width = 0, int since = 1) {
  using Row = typename column_detail::Member<decltype(First)>::Row;
  using Value = std::remove_cvref_t<decltype(column_detail::follow<First, Rest...>(std::declval<Row&>()))>;
  constexpr ColumnType type = column_detail::type_of<Value>();
  return Column<Row>{name,
                     unit,
                     type,
                     type == ColumnType::text ? width : sizeof(Value),
                     since,
                     [](const Row& row) -> const void* { return &column_detail::follow<First, Rest...>(row); },
                     [](Row& row) -> void* { return &column_detail::follow<First, Rest...>(row); }};
}

/// Writes one cell. Throws InputError for text that is not UTF-8.
void put_cell(TableBytes& table, const Field& field, std::size_t row, std::size_t offset, const void* value,
              LongTexts& long_texts);
/// Reads one cell. Throws DataError for text that is not UTF-8 and for a flag other than 0 and 1.
void get_cell(const TableBytes& table, const Field& field, std::size_t row, std::size_t offset, void* place,
              const LongTexts& long_texts);

template <class Row>
std::vector<Field> fields_of(std::span<const Column<Row>> columns, int version) {
  std::vector<Field> fields;
  for (const Column<Row>& column : columns)
    if (column.since <= version) fields.push_back(column.field());
  return fields;
}

template <class Row>
TableBytes encode_table(std::string name, std::span<const Row> rows, std::span<const Column<Row>> columns,
                        LongTexts& long_texts) {
  TableBytes table{std::move(name), false, {}, rows.size(), {}};
  for (const Column<Row>& column : columns) table.fields.push_back(column.field());
  const std::size_t row_bytes = table.row_bytes();
  table.bytes.resize(rows.size() * row_bytes);
  std::size_t offset = 0;
  for (std::size_t c = 0; c < columns.size(); offset += columns[c].bytes, ++c)
    for (std::size_t r = 0; r < rows.size(); ++r)
      put_cell(table, table.fields[c], r, r * row_bytes + offset, columns[c].value(rows[r]), long_texts);
  return table;
}

/// `table` must hold the fields of `columns` that its schema version has, in their order; others keep their default.
template <class Row>
std::vector<Row> decode_table(const TableBytes& table, std::span<const Column<Row>> columns, int version,
                              const LongTexts& long_texts) {
  std::vector<Row> rows(table.rows);
  const std::size_t row_bytes = table.row_bytes();
  std::size_t offset = 0, f = 0;
  for (const Column<Row>& column : columns) {
    if (column.since > version) continue;
    const Field& field = table.fields[f++];
    for (std::size_t r = 0; r < rows.size(); ++r)
      get_cell(table, field, r, r * row_bytes + offset, column.place(rows[r]), long_texts);
    offset += field.bytes;
  }
  return rows;
}

}  // namespace qb
