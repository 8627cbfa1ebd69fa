// How the weights of one matrix are stored: what a code means, how many bits it has, what shares a scale.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace qb {

enum class CodeKind : std::uint8_t {
  f32,      ///< no codes: the values themselves, 32 bits
  bf16,     ///< no codes: the values themselves, 16 bits
  integer,  ///< value = (code - zero) * scale, or code * scale + offset; code in [0, 2^bits - 1]
  table,    ///< value = table[code], 2^bits levels of the matrix's own; or table[code] * scale + offset, the row's
  levels,   ///< value = level[code] * scale, the levels of a LevelSet
};

/// Levels that everybody knows. Bits per code: binary 1, ternary and trit 2, e2m3 and e3m2 6, e4m3 and e5m2 8, powers
/// of two as their names say, others 4.
enum class LevelSet : std::uint8_t {
  none,
  binary,   ///< -1, 1
  ternary,  ///< -1, 0, 1; code 3 is not used
  trit,     ///< the same, stored five to a byte: 1.6 bits
  e2m1,     ///< OCP FP4; the codes are the bit patterns, here and below
  e2m3,     ///< OCP FP6
  e3m2,     ///< OCP FP6
  e4m3,     ///< OCP FP8, without infinities; NaN codes are refused
  e5m2,     ///< OCP FP8; infinities and NaN are refused
  nf4,      ///< QLoRA's 4-bit normal float
  af4,      ///< Yoshida's abnormal float for blocks of 64
  iq4nl,    ///< GGUF's 16 int8 levels
  pot3,     ///< 0 and the powers of two from 1 on, of both signs; the last code is not used, here and below
  pot4,     ///< up to 64
  pot5,     ///< up to 16384
  apot4,    ///< 0 and sums of powers of two, of both signs, as integers: up to 10
  apot5,    ///< up to 48
  apot6,    ///< up to 100
  apot7,    ///< up to 448
};

/// Which weights share one scale (and zero point or offset), or one table.
enum class Sharing : std::uint8_t { tensor, channel, group };

/// How scales are stored. A matrix holds the float32 value that decoding sees; this says what it can be, and its bits.
enum class ScaleType : std::uint8_t {
  f32,
  f16,
  e8m0,  ///< a power of two
  e4m3,  ///< OCP FP8 times one float32 of the matrix; groups only
  i4,    ///< a 4-bit integer times one float16 per 256 weights of a row; groups that divide 256 only
  i6,
  i8,
  dq8,  ///< a level of dynamic_levels() times one float32 per 256 scales of the matrix, plus one float32 of the matrix
};

/// A printable description of a packed layout; equal formats have equal bytes for equal contents.
///
/// Text: "f32", "bf16"; else a kind, a sharing, and what departs from the rule:
/// - kind: "q<bits>" integers, "t<bits>" tables, or the name of a level set;
/// - sharing: "t" (tensor), "c" (channel = one row of [n, k]) or "g<size>" (size consecutive weights along k, the last
///   group may be shorter);
/// - "z" stored zero points of integers, "o" stored offsets of integers and tables; without them the zero of integers
///   is the middle code 2^(bits-1) (symmetric);
/// - "." and a scale type other than f32.
/// Examples: q8c, q3g64z, t4c, nf4g64, e4m3c, q4g32.f16 (GGUF Q4_0), q4g32o.i6 (Q4_K), e2m1g32.e8m0, t4g128o (any4).
struct QuantFormat {
  CodeKind kind = CodeKind::f32;
  int bits = 32;  ///< of a code: 1..8; 32 and 16 for f32 and bf16
  Sharing sharing = Sharing::channel;
  std::int64_t group = 0;  ///< >= 1 with Sharing::group, else 0
  bool zeros = false;      ///< integer only
  LevelSet levels = LevelSet::none;
  ScaleType scale = ScaleType::f32;  ///< not of tables without offsets
  bool offsets = false;              ///< integer, and table by group; excludes zeros
  bool operator==(const QuantFormat&) const = default;
};

/// Weights along k that share the float16 of the scale types i4, i6 and i8.
inline constexpr std::int64_t kSuperGroup = 256;

std::string to_text(const QuantFormat& format);
QuantFormat parse_quant_format(std::string_view text);  ///< throws DataError naming the fault

/// Empty, or what is wrong with a format that was put together by hand.
std::string fault_of(const QuantFormat& format);

/// True for the values themselves: f32 and bf16.
constexpr bool is_float(CodeKind kind) { return kind == CodeKind::f32 || kind == CodeKind::bf16; }

int bits_of(LevelSet levels);  ///< of a code; 0 for none
std::string_view name_of(LevelSet levels);
std::string_view name_of(ScaleType scale);

/// Scales (or tables) that one row of k weights has: 1 for tensor and channel, ceil(k / group) for groups.
std::int64_t groups_per_row(const QuantFormat& format, std::int64_t k);

/// Scales, row by row, that share a float32 with the scale type dq8.
inline constexpr std::int64_t kScaleBlock = 256;

/// float16 factors that one row of k weights has: ceil(k / 256) for the scale types i4, i6 and i8, else 0.
std::int64_t supers_per_row(const QuantFormat& format, std::int64_t k);

/// Bytes of one row of k codes: each row begins at a byte.
std::int64_t code_bytes_per_row(const QuantFormat& format, std::int64_t k);

}  // namespace qb
