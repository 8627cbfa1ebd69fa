// How the weights of one matrix are stored: what a code means, how many bits it has, what shares a scale.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace qb {

enum class CodeKind : std::uint8_t {
  f32,      ///< no codes: the values themselves, 32 bits
  integer,  ///< value = (code - zero) * scale, code in [0, 2^bits - 1]
  table,    ///< value = table[code], 2^bits float levels
};

/// Which weights share one scale (and zero point), or one table.
enum class Sharing : std::uint8_t { tensor, channel, group };

/// A printable description of a packed layout; equal formats have equal bytes for equal contents.
///
/// Text: "f32"; "q<bits><sharing>[z]" for integers, "t<bits><sharing>" for tables, where sharing is "t" (tensor),
/// "c" (channel = one row of [n, k]) or "g<size>" (size consecutive weights along k, the last group may be shorter).
/// "z" means stored zero points; without it the zero point is the middle code 2^(bits-1) (symmetric).
/// Examples: q8c, q4g32, q3g64z, t4c. Invariants: bits 1..8 (32 for f32); group >= 1 only with Sharing::group, else 0.
struct QuantFormat {
  CodeKind kind = CodeKind::f32;
  int bits = 32;
  Sharing sharing = Sharing::channel;
  std::int64_t group = 0;
  bool zeros = false;  ///< integer only
  bool operator==(const QuantFormat&) const = default;
};

std::string to_text(const QuantFormat& format);
QuantFormat parse_quant_format(std::string_view text);  ///< throws DataError naming the fault

/// Scales (or tables) that one row of k weights has: 1 for tensor and channel, ceil(k / group) for groups.
std::int64_t groups_per_row(const QuantFormat& format, std::int64_t k);

}  // namespace qb
