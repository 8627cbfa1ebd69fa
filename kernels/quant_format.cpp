#include "kernels/quant_format.h"

#include <fmt/format.h>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::string_view kAccepted =
    "formats are f32, or q or t, 1 to 8 bits, t, c or g<size>, and for q an optional z, as in q4g32z";

[[noreturn]] void refuse_format(std::string_view text, std::string_view fault) {
  throw DataError(fmt::format("weight format '{}': {}; {}", text, fault, kAccepted));
}

/// Takes the decimal digits that `rest` begins with; refuses none, a leading zero, and more than nine.
std::int64_t take_number(std::string_view text, std::string_view& rest, std::string_view what) {
  std::size_t length = 0;
  while (length < rest.size() && rest[length] >= '0' && rest[length] <= '9') ++length;
  if (length == 0 || length > 9 || rest[0] == '0')
    refuse_format(text, fmt::format("{} must be a positive number", what));
  const std::int64_t number = *parse_int(rest.substr(0, length));
  rest.remove_prefix(length);
  return number;
}

}  // namespace

std::string to_text(const QuantFormat& format) {
  if (format.kind == CodeKind::f32) return "f32";
  std::string text = fmt::format("{}{}", format.kind == CodeKind::table ? 't' : 'q', format.bits);
  switch (format.sharing) {
    case Sharing::tensor: text += 't'; break;
    case Sharing::channel: text += 'c'; break;
    case Sharing::group: text += fmt::format("g{}", format.group); break;
  }
  return format.zeros ? text + 'z' : text;
}

QuantFormat parse_quant_format(std::string_view text) {
  if (text == "f32") return {};
  std::string_view rest = text;
  QuantFormat format;
  if (rest.empty() || (rest[0] != 'q' && rest[0] != 't')) refuse_format(text, "the kind is not known");
  format.kind = rest[0] == 'q' ? CodeKind::integer : CodeKind::table;
  rest.remove_prefix(1);
  const std::int64_t bits = take_number(text, rest, "the number of bits");
  if (bits > 8) refuse_format(text, fmt::format("{} bits are too many", bits));
  format.bits = int(bits);
  if (rest.empty()) refuse_format(text, "it does not say which weights share a scale");
  const char sharing = rest[0];
  rest.remove_prefix(1);
  switch (sharing) {
    case 't': format.sharing = Sharing::tensor; break;
    case 'c': format.sharing = Sharing::channel; break;
    case 'g':
      format.sharing = Sharing::group;
      format.group = take_number(text, rest, "the group size");
      break;
    default: refuse_format(text, fmt::format("sharing '{}' is not known", sharing));
  }
  if (rest == "z" && format.kind == CodeKind::integer) {
    format.zeros = true;
    rest = {};
  }
  if (!rest.empty()) refuse_format(text, fmt::format("'{}' at the end has no meaning", rest));
  return format;
}

std::int64_t groups_per_row(const QuantFormat& format, std::int64_t k) {
  return format.sharing == Sharing::group ? (k + format.group - 1) / format.group : 1;
}

}  // namespace qb
