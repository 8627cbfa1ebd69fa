// Words: splitting, strict number parsing, and the nearest known name for messages.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

std::vector<std::string_view> split(std::string_view text, char separator);  ///< "a,,b" gives three parts; "" gives one
std::string_view trimmed(std::string_view text);                             ///< without blanks at either end
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// The whole text as a number, or nothing: no blanks, no sign "+", no trailing characters, no inf or nan.
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);

/// The candidate with the smallest edit distance, if it is near enough to be a slip of the pen; otherwise empty.
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean 'x'?" for the nearest candidate, or "; known are a, b and c" when none is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

bool valid_utf8(std::string_view bytes);

/// Human sizes and times for tables: "1.2 MiB", "350 us". Three significant digits.
std::string bytes_text(double bytes);
std::string duration_text(double ns);

}  // namespace qb
