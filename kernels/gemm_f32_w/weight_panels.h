// Weights in their bits, as the kernels with float activations read them: codes of many columns side by side.
//
// Columns stand in panels of four vectors, those behind the last whole panel in panels of one vector; a vector is 16
// columns for avx512 and 8 for avx2. A panel is one stream in the order in which it is read. It has chunks of 32
// weights along k; before the codes of a chunk stand the parameters of the groups that begin in it. Parameters of one
// group: [width] scales, [width] offsets, [width] zeros (one byte each), or the group's tables [levels][width].
//
// Codes of a chunk: weights 2 i and 2 i + 1 are pair i, 16 pairs. A column has, for each of the `bits` words of a
// chunk, 32 bits: 16 for the even weights and above them 16 for the odd ones. Code i of the 16 even (odd) ones stands
// at bit i * bits of their 16 * bits bits, low bit first. Order: [word][vector][column]. So codes of every width are
// dense, two codes that meet the same instruction lie in one 32-bit lane, and bf16 values (bits = 16) are pairs as
// vdpbf16ps wants them. k is padded with code 0, which is multiplied by activations of 0; columns with zero scales.
//
// Tables of columns (channel_levels): columns stand in blocks of four, whatever the number of columns is; a block is
// one stream: its four tables, each of at least 64 bytes, then chunks. A chunk of one column is one vector of codes; an
// element of it has 32 bits, 16 for levels in bf16, and holds as many codes as fit, low bits first. Code s of element e
// belongs to weight (s * elements + e) of the chunk. Order: [table of column], [chunk][column][element].
//
// Data only: this header is compiled under every instruction-set flag.
#pragma once
#include <cstdint>

namespace qb {

enum class Decoding : std::int32_t {
  values,          ///< bf16 values
  levels,          ///< level = table[code], one table for all
  column_levels,   ///< level = table[code] of the column's group
  channel_levels,  ///< level = table[code] of the column
  integers,        ///< level = code - zero
  small_floats,    ///< sign, exponent, mantissa of a code that is a float of 6 or 8 bits
};

enum class PanelScales : std::int32_t { none, f32, f16, power };  ///< power: one byte e, 2^(e - 127)

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct WeightPanels {
  Decoding decoding;
  PanelScales scale;
  std::int64_t bits;            ///< of a code, 1..8 or 16
  std::int64_t group, groups;   ///< weights that share parameters, a multiple of 16 if groups > 1; parameters per row
  std::int64_t chunks;          ///< of 32 weights, per row; channel_levels: vectors of codes, per row
  std::int64_t group_bytes;     ///< parameters of one group and column
  std::int64_t column_bytes;    ///< of the stream: parameters (tables) and codes
  std::int64_t stream;          ///< offset of the first panel; column j's panel begins at stream + first * column_bytes
  std::int64_t offsets, zeros;  ///< 1 where groups have them
  std::int64_t rounds_values;   ///< 1: with offsets, code * scale + offset is rounded to bf16
  float zero;                   ///< integers: real zero where groups have none of their own
  std::int32_t shift;  ///< small_floats: a code whose sign stands at bit 31, shifted right by this (and its sign
  std::uint32_t mask;  ///< copied), masked by this, is a float32 that `factor` brings to its size; exact
  float factor;
  alignas(64) float table[256];  ///< levels by code, repeated; not with column_levels and values
};

inline constexpr std::int64_t kChunk = 32;     ///< weights along k whose codes lie together
inline constexpr std::int64_t kSegment = 256;  ///< most weights that are summed before they are scaled

inline constexpr std::int64_t kTableColumns = 4;        ///< of a block of channel_levels
inline constexpr std::int64_t kLeastTable = 64;         ///< bytes of a column's table; short ones are repeated
inline constexpr std::int64_t kTableSegmentSteps = 64;  ///< most vectors of weights before their sums are added up

}  // namespace qb
