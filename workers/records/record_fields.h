// Columns, numbers and digests inside a record's JSON: written compactly, read with every size and range checked.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/json.h"

namespace qb {

/// A number as JSON: NaN becomes null. Infinity has no place in a record and breaks the caller's promise.
Json number_json(double value);
Json column_json(const std::vector<double>& values);

/// The number under `key`, which must be there; null reads as NaN. Refuses what lies outside [low, high].
double number_in(Fields& fields, std::string_view key, double low, double high);
/// As number_in, but null is refused too.
double finite_in(Fields& fields, std::string_view key, double low, double high);

/// A text of at most `limit` bytes.
std::string short_text(Fields& fields, std::string_view key, std::size_t limit);
/// 64 lower-case hexadecimal digits.
std::string digest_text(Fields& fields, std::string_view key);
bool is_digest(std::string_view text);

/// A list of at most `limit` numbers, each in [low, high]. Null elements (NaN) are refused.
std::vector<double> column_in(Fields& fields, std::string_view key, std::size_t limit, double low, double high);
std::vector<std::int64_t> integer_column_in(Fields& fields, std::string_view key, std::size_t limit, std::int64_t low,
                                            std::int64_t high);

}  // namespace qb
