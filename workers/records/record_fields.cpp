#include "workers/records/record_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"

namespace qb {

Json number_json(double value) {
  QB_EXPECTS(!std::isinf(value));
  return std::isnan(value) ? Json(nullptr) : Json(value);
}

Json column_json(const std::vector<double>& values) {
  Json column = Json::array();
  for (const double value : values) column.push_back(number_json(value));
  return column;
}

double number_in(Fields& fields, std::string_view key, double low, double high) {
  if (fields.at(key).is_null()) return std::numeric_limits<double>::quiet_NaN();
  return finite_in(fields, key, low, high);
}

double finite_in(Fields& fields, std::string_view key, double low, double high) {
  const double value = fields.number(key);
  if (!(value >= low && value <= high)) fields.fail(key, fmt::format("is {}; accepted is {} to {}", value, low, high));
  return value;
}

std::string short_text(Fields& fields, std::string_view key, std::size_t limit) {
  std::string text = fields.text(key);
  if (text.size() > limit) fields.fail(key, fmt::format("has {} bytes; at most {} are accepted", text.size(), limit));
  return text;
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string digest_text(Fields& fields, std::string_view key) {
  std::string text = fields.text(key);
  if (!is_digest(text)) fields.fail(key, "must be a SHA-256 in 64 lower-case hexadecimal digits");
  return text;
}

namespace {

/// Refuses a list that is too long before anything is copied from it.
void check_length(Fields& fields, std::string_view key, std::size_t limit) {
  const std::size_t size = fields.array(key).size();
  if (size > limit) fields.fail(key, fmt::format("has {} elements; at most {} are accepted", size, limit));
}

template <class T>
void check_range(const Fields& fields, std::string_view key, const std::vector<T>& values, T low, T high) {
  const auto outside = std::find_if(values.begin(), values.end(), [&](T x) { return !(x >= low && x <= high); });
  if (outside == values.end()) return;
  fields.fail(
      key, fmt::format("holds {} at position {}; accepted is {} to {}", *outside, outside - values.begin(), low, high));
}

}  // namespace

std::vector<double> column_in(Fields& fields, std::string_view key, std::size_t limit, double low, double high) {
  check_length(fields, key, limit);
  std::vector<double> values = fields.numbers(key);
  check_range(fields, key, values, low, high);
  return values;
}

std::vector<std::int64_t> integer_column_in(Fields& fields, std::string_view key, std::size_t limit, std::int64_t low,
                                            std::int64_t high) {
  check_length(fields, key, limit);
  std::vector<std::int64_t> values = fields.integers(key);
  check_range(fields, key, values, low, high);
  return values;
}

}  // namespace qb
