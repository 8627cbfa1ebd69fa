// JSON that comes from people or peers: parsed with limits, read with every key accounted for.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

using Json = nlohmann::json;

/// Whose fault a malformed text is, hence which error is thrown: InputError (exit 2) or DataError (exit 3).
enum class Blame { user, peer };
[[noreturn]] void refuse(Blame blame, const std::string& message);

struct JsonLimits {
  std::size_t depth = 16;
  std::size_t string_bytes = 8 << 10;
  bool comments = false;  ///< studies may hold // comments
};

/// Parses one JSON document. Refuses deep nesting, long strings, bytes that are not UTF-8, numbers that are not finite,
/// and a key that stands twice in one object, in one sentence that begins with `where`.
Json parse_json(std::string_view text, std::string_view where, Blame blame, const JsonLimits& limits = {});

/// One line; keys sorted; numbers in their shortest form that reads back equal. Equal values give equal text.
std::string canonical_text(const Json& value);

/// Reads the members of one JSON object by name and type, remembers which were asked for, and refuses the rest.
///
/// Every message begins with `where` and names the key. Lifetime: keeps a reference to `object`.
class Fields {
 public:
  Fields(const Json& object, std::string where, Blame blame);

  bool has(std::string_view key) const;    ///< does not count as asked for
  const Json& at(std::string_view key);    ///< required
  const Json* find(std::string_view key);  ///< optional
  std::string text(std::string_view key);
  std::string text_or(std::string_view key, std::string otherwise);
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high);  ///< low <= value <= high
  std::int64_t integer_or(std::string_view key, std::int64_t low, std::int64_t high, std::int64_t otherwise);
  double number(std::string_view key);
  double number_or(std::string_view key, double otherwise);  ///< null reads as NaN when `otherwise` is NaN
  bool flag_or(std::string_view key, bool otherwise);
  std::vector<std::string> texts(std::string_view key);
  std::vector<std::int64_t> integers(std::string_view key);
  std::vector<double> numbers(std::string_view key);  ///< null elements read as NaN
  const Json& array(std::string_view key);

  void done() const;  ///< throws for the first key nobody asked for, naming the nearest known key
  [[noreturn]] void fail(std::string_view key, std::string_view fault) const;
  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  std::string where_;
  Blame blame_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace qb
