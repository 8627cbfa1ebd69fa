#include "kernels/base/json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

void refuse(Blame blame, const std::string& message) {
  if (blame == Blame::user) throw InputError(message);
  throw DataError(message);
}

namespace {

/// Builds a document through the library's parser events, so that every limit holds while reading, not after.
class LimitedReader : public nlohmann::json_sax<Json> {
 public:
  LimitedReader(const JsonLimits& limits, std::string_view where, Blame blame)
      : limits_(limits), where_(where), blame_(blame) {}

  bool null() override { return put(Json(nullptr)); }
  bool boolean(bool value) override { return put(Json(value)); }
  bool number_integer(number_integer_t value) override { return put(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return put(Json(value)); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (!std::isfinite(value)) fail(fmt::format("the number {} is not finite", text.substr(0, 40)));
    return put(Json(value));
  }
  bool string(string_t& value) override {
    check_length(value);
    return put(Json(std::move(value)));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    check_length(name);
    const auto [member, fresh] = stack_.back()->emplace(std::move(name), nullptr);
    if (!fresh) fail(fmt::format("key '{}' stands twice in one object", member.key()));
    member_ = &*member;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string fault = error.what();
    if (const auto at = fault.find("column"); at != std::string::npos)
      if (const auto colon = fault.find(": ", at); colon != std::string::npos) fault = fault.substr(colon + 2);
    fail(fmt::format("not valid JSON at byte {}: {}", position, fault.substr(0, 200)));
  }
  Json take() { return std::move(root_); }

 private:
  [[noreturn]] void fail(const std::string& fault) const { refuse(blame_, fmt::format("{}: {}", where_, fault)); }
  void check_length(const std::string& text) const {
    if (text.size() > limits_.string_bytes)
      fail(fmt::format("a string of {} bytes is longer than the {} allowed", text.size(), limits_.string_bytes));
  }
  Json* place(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(*member_ = std::move(value));
  }
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json empty) {
    if (stack_.size() >= limits_.depth) fail(fmt::format("nested deeper than the {} levels allowed", limits_.depth));
    stack_.push_back(place(std::move(empty)));
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  std::string_view where_;
  Blame blame_;
  Json root_;
  std::vector<Json*> stack_;
  Json* member_ = nullptr;  ///< of the innermost object: where the value of the key that was read last goes
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where, Blame blame, const JsonLimits& limits) {
  if (!valid_utf8(text)) refuse(blame, fmt::format("{}: the text is not UTF-8", where));
  LimitedReader reader(limits, where, blame);
  Json::sax_parse(text.begin(), text.end(), &reader, Json::input_format_t::json, /*strict=*/true, limits.comments);
  return reader.take();
}

std::string canonical_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::strict); }

Fields::Fields(const Json& object, std::string where, Blame blame)
    : object_(object), where_(std::move(where)), blame_(blame) {
  if (!object_.is_object())
    refuse(blame_, fmt::format("{}: expected an object, found {}", where_, object_.type_name()));
}

void Fields::fail(std::string_view key, std::string_view fault) const {
  refuse(blame_, fmt::format("{}: key '{}' {}", where_, key, fault));
}

bool Fields::has(std::string_view key) const { return object_.contains(key); }

const Json* Fields::find(std::string_view key) {
  asked_.emplace(key);
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

const Json& Fields::at(std::string_view key) {
  if (const Json* value = find(key)) return *value;
  fail(key, "is missing");
}

std::string Fields::text(std::string_view key) {
  const Json& value = at(key);
  if (!value.is_string()) fail(key, fmt::format("must be a text, found {}", value.type_name()));
  return value.get<std::string>();
}

std::string Fields::text_or(std::string_view key, std::string otherwise) {
  return find(key) ? text(key) : std::move(otherwise);
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) {
  const Json& value = at(key);
  if (!value.is_number_integer())
    fail(key, fmt::format("must be a whole number, found {}", value.dump().substr(0, 40)));
  const bool too_large = value.is_number_unsigned() &&
                         value.get<std::uint64_t>() > std::uint64_t(std::numeric_limits<std::int64_t>::max());
  const std::int64_t number = too_large ? 0 : value.get<std::int64_t>();
  if (too_large || number < low || number > high)
    fail(key, fmt::format("is {}; accepted is {} to {}", value.dump(), low, high));
  return number;
}

std::int64_t Fields::integer_or(std::string_view key, std::int64_t low, std::int64_t high, std::int64_t otherwise) {
  return find(key) ? integer(key, low, high) : otherwise;
}

double Fields::number(std::string_view key) {
  const Json& value = at(key);
  if (!value.is_number()) fail(key, fmt::format("must be a number, found {}", value.type_name()));
  return value.get<double>();
}

double Fields::number_or(std::string_view key, double otherwise) {
  const Json* value = find(key);
  if (!value || (value->is_null() && std::isnan(otherwise))) return otherwise;
  return number(key);
}

bool Fields::flag_or(std::string_view key, bool otherwise) {
  const Json* value = find(key);
  if (!value) return otherwise;
  if (!value->is_boolean()) fail(key, fmt::format("must be true or false, found {}", value->type_name()));
  return value->get<bool>();
}

const Json& Fields::array(std::string_view key) {
  const Json& value = at(key);
  if (!value.is_array()) fail(key, fmt::format("must be a list, found {}", value.type_name()));
  return value;
}

std::vector<std::string> Fields::texts(std::string_view key) {
  std::vector<std::string> result;
  for (const Json& element : array(key)) {
    if (!element.is_string()) fail(key, fmt::format("must be a list of texts, found {}", element.type_name()));
    result.push_back(element.get<std::string>());
  }
  return result;
}

std::vector<std::int64_t> Fields::integers(std::string_view key) {
  std::vector<std::int64_t> result;
  for (const Json& element : array(key)) {
    if (!element.is_number_integer())
      fail(key, fmt::format("must be a list of whole numbers, found {}", element.dump().substr(0, 40)));
    result.push_back(element.get<std::int64_t>());
  }
  return result;
}

std::vector<double> Fields::numbers(std::string_view key) {
  std::vector<double> result;
  for (const Json& element : array(key)) {
    if (!element.is_number() && !element.is_null())
      fail(key, fmt::format("must be a list of numbers, found {}", element.type_name()));
    result.push_back(element.is_null() ? std::numeric_limits<double>::quiet_NaN() : element.get<double>());
  }
  return result;
}

void Fields::done() const {
  for (const auto& [key, value] : object_.items()) {
    if (asked_.contains(key)) continue;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    refuse(blame_, fmt::format("{}: unknown key '{}'{}", where_, key, suggestion(key, known)));
  }
}

}  // namespace qb
