#include "kernels/quant_format.h"

#include <fmt/format.h>

#include <array>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

struct NamedLevels {
  LevelSet levels;
  std::string_view name;
  int bits;
};
constexpr std::array kLevelSets = {
    NamedLevels{LevelSet::binary, "binary", 1}, NamedLevels{LevelSet::ternary, "ternary", 2},
    NamedLevels{LevelSet::trit, "trit", 2},     NamedLevels{LevelSet::e2m1, "e2m1", 4},
    NamedLevels{LevelSet::e2m3, "e2m3", 6},     NamedLevels{LevelSet::e3m2, "e3m2", 6},
    NamedLevels{LevelSet::e4m3, "e4m3", 8},     NamedLevels{LevelSet::e5m2, "e5m2", 8},
    NamedLevels{LevelSet::nf4, "nf4", 4},       NamedLevels{LevelSet::af4, "af4", 4},
    NamedLevels{LevelSet::iq4nl, "iq4nl", 4},   NamedLevels{LevelSet::pot3, "pot3", 3},
    NamedLevels{LevelSet::pot4, "pot4", 4},     NamedLevels{LevelSet::pot5, "pot5", 5},
    NamedLevels{LevelSet::apot4, "apot4", 4},   NamedLevels{LevelSet::apot5, "apot5", 5},
    NamedLevels{LevelSet::apot6, "apot6", 6},   NamedLevels{LevelSet::apot7, "apot7", 7},
};
constexpr std::array<std::string_view, 8> kScaleTypes = {"f32", "f16", "e8m0", "e4m3", "i4", "i6", "i8", "dq8"};

constexpr std::string_view kAccepted =
    "formats are f32, bf16, or a kind (q or t with 1 to 8 bits, or binary, ternary, trit, e2m1, e2m3, e3m2, e4m3, e5m2, "
    "nf4, af4, iq4nl, pot3 to pot5, apot4 to apot7), then t, c or g<size>, for q an optional z or o, for t an optional o, and an optional .f16, .e8m0, .e4m3, .i4, .i6, "
    ".i8 or .dq8, as in q4g32z or e2m1g32.e8m0";

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

void take_kind(std::string_view text, std::string_view& rest, QuantFormat& format) {
  for (const NamedLevels& set : kLevelSets) {
    if (!rest.starts_with(set.name)) continue;
    format.kind = CodeKind::levels;
    format.levels = set.levels;
    format.bits = set.bits;
    rest.remove_prefix(set.name.size());
    return;
  }
  if (rest.empty() || (rest[0] != 'q' && rest[0] != 't')) refuse_format(text, "the kind is not known");
  format.kind = rest[0] == 'q' ? CodeKind::integer : CodeKind::table;
  rest.remove_prefix(1);
  const std::int64_t bits = take_number(text, rest, "the number of bits");
  if (bits > 8) refuse_format(text, fmt::format("{} bits are too many", bits));
  format.bits = int(bits);
}

void take_sharing(std::string_view text, std::string_view& rest, QuantFormat& format) {
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
}

void take_scale_type(std::string_view text, std::string_view& rest, QuantFormat& format) {
  if (!rest.starts_with(".")) return;
  const std::string_view name = rest.substr(1);
  for (std::size_t i = 1; i < kScaleTypes.size(); ++i)
    if (name == kScaleTypes[i]) format.scale = ScaleType(i);
  if (format.scale == ScaleType::f32) refuse_format(text, fmt::format("scale type '{}' is not known", name));
  rest = {};
}

bool is_two_level(ScaleType scale) { return scale >= ScaleType::i4 && scale <= ScaleType::i8; }

}  // namespace

int bits_of(LevelSet levels) {
  for (const NamedLevels& set : kLevelSets)
    if (set.levels == levels) return set.bits;
  return 0;
}

std::string_view name_of(LevelSet levels) {
  for (const NamedLevels& set : kLevelSets)
    if (set.levels == levels) return set.name;
  return "none";
}

std::string_view name_of(ScaleType scale) { return kScaleTypes[std::size_t(scale)]; }

std::string to_text(const QuantFormat& format) {
  if (format.kind == CodeKind::f32) return "f32";
  if (format.kind == CodeKind::bf16) return "bf16";
  std::string text = format.kind == CodeKind::levels
                         ? std::string(name_of(format.levels))
                         : fmt::format("{}{}", format.kind == CodeKind::table ? 't' : 'q', format.bits);
  switch (format.sharing) {
    case Sharing::tensor: text += 't'; break;
    case Sharing::channel: text += 'c'; break;
    case Sharing::group: text += fmt::format("g{}", format.group); break;
  }
  if (format.zeros) text += 'z';
  if (format.offsets) text += 'o';
  return format.scale == ScaleType::f32 ? text : fmt::format("{}.{}", text, name_of(format.scale));
}

QuantFormat parse_quant_format(std::string_view text) {
  if (text == "f32") return {};
  QuantFormat format;
  if (text == "bf16") {
    format.kind = CodeKind::bf16;
    format.bits = 16;
    return format;
  }
  std::string_view rest = text;
  take_kind(text, rest, format);
  take_sharing(text, rest, format);
  if (format.kind != CodeKind::levels && !rest.empty() && (rest[0] == 'z' || rest[0] == 'o')) {
    (rest[0] == 'z' ? format.zeros : format.offsets) = true;
    rest.remove_prefix(1);
  }
  take_scale_type(text, rest, format);
  if (!rest.empty()) refuse_format(text, fmt::format("'{}' at the end has no meaning", rest));
  if (const std::string fault = fault_of(format); !fault.empty()) refuse_format(text, fault);
  return format;
}

std::string fault_of(const QuantFormat& format) {
  if (is_float(format.kind)) {
    QuantFormat plain;
    plain.kind = format.kind;
    plain.bits = format.kind == CodeKind::f32 ? 32 : 16;
    return format == plain ? "" : "values that are no codes have no bits, scales, zeros or offsets to choose";
  }
  if (format.bits < 1 || format.bits > 8) return "codes have 1 to 8 bits";
  if (format.sharing == Sharing::group ? format.group < 1 : format.group != 0)
    return "only groups have a size, from 1 up";
  if ((format.kind == CodeKind::levels) != (format.levels != LevelSet::none))
    return "levels are named or there are none";
  if (format.kind == CodeKind::levels && format.bits != bits_of(format.levels)) return "these levels have other bits";
  if (format.kind != CodeKind::integer && format.zeros) return "only integers have zeros";
  if (format.kind == CodeKind::levels && format.offsets) return "named levels have no offsets";
  if (format.zeros && format.offsets) return "zeros and offsets exclude each other";
  if (format.kind == CodeKind::table && format.offsets && format.sharing != Sharing::group)
    return "tables with offsets are those of rows, scaled by group";
  if (format.kind == CodeKind::table && !format.offsets && format.scale != ScaleType::f32)
    return "tables without offsets have no scales";
  if (format.scale == ScaleType::e4m3 && format.sharing != Sharing::group) return "scales of e4m3 belong to groups";
  if (format.scale == ScaleType::e4m3 && format.offsets) return "offsets cannot be stored as e4m3";
  if (format.scale == ScaleType::e8m0 && format.offsets) return "offsets cannot be stored as e8m0";
  if (format.scale == ScaleType::dq8 && format.offsets) return "offsets cannot be stored as dq8";
  if (is_two_level(format.scale) && (format.sharing != Sharing::group || kSuperGroup % format.group != 0))
    return "scales of i4, i6 and i8 belong to groups that divide 256";
  return {};
}

std::int64_t groups_per_row(const QuantFormat& format, std::int64_t k) {
  return format.sharing == Sharing::group ? (k + format.group - 1) / format.group : 1;
}

std::int64_t supers_per_row(const QuantFormat& format, std::int64_t k) {
  return is_two_level(format.scale) ? (k + kSuperGroup - 1) / kSuperGroup : 0;
}

std::int64_t code_bytes_per_row(const QuantFormat& format, std::int64_t k) {
  return format.levels == LevelSet::trit ? (k + 4) / 5 : (k * format.bits + 7) / 8;
}

}  // namespace qb
