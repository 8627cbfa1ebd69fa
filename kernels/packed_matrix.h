// The canonical packed form of a weight matrix [n, k]: neutral to instruction sets, immutable, named by its digest.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/tensor.h"
#include "kernels/quant_format.h"

namespace qb {

/// Weights [n, k] as codes and their parameters. Built by pack(); unpack_codes(pack(x)) == x.
///
/// codes    each row starts at a byte boundary; within a row code j stands at bit j * bits, low bit first; row stride
/// is
///          row_bytes. Trits stand five to a byte, the first as the lowest digit to base 3. For f32 and bf16: the n * k
///          values, little-endian.
/// scales   [1] per tensor, [n] per channel, [n, groups_per_row] per group; empty for f32, bf16, plain tables. What
/// decoding
///          multiplies by: finite, of any sign, and a value that the format's scale type can hold.
/// zeros    same shape as scales when format.zeros, else empty; each in [0, 2^bits - 1].
/// offsets  same shape as scales when format.offsets, else empty: the real value of code 0, as the scale type allows.
/// super_scales, super_offsets
///          with scale types i4, i6 and i8: [n, supers_per_row] float16 values of which the scales (offsets) are
///          multiples by an integer in [-2^(b-1), 2^b - 1]; with e4m3: super_scales [1], > 0, times a finite E4M3
///          value; with dq8: super_scales [ceil(count of scales / 256)], >= 0, and super_offsets [1], of which a scale
///          is dynamic level * super_scale, rounded, + super_offset; else empty.
/// table    [1, n or n * groups; 2^bits] levels, [n, 2^bits] with offsets; empty unless CodeKind::table. Finite.
struct PackedMatrix {
  QuantFormat format;
  std::int64_t n = 0, k = 0;
  Buffer codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  std::vector<float> offsets;
  std::vector<float> super_scales, super_offsets;
  std::vector<float> table;
  std::string digest;  ///< SHA-256 over format text, n, k and all arrays; equal contents have equal digests

  std::int64_t row_bytes() const { return code_bytes_per_row(format, k); }
  /// Index into scales/zeros/offsets of weight (row, column), and of the first level of its table divided by 2^bits.
  std::int64_t parameter_index(std::int64_t row, std::int64_t column) const;
};

/// What a quantizer delivers: one code per weight in row-major order, and the parameters as named above.
struct UnpackedMatrix {
  QuantFormat format;
  std::int64_t n = 0, k = 0;
  std::vector<std::uint8_t> codes;  ///< [n, k]
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  std::vector<float> table;
  std::vector<float> offsets;
  std::vector<float> super_scales, super_offsets;
};

/// The levels of a set by code; empty for none. Those that are no finite number are no codes of a matrix.
std::span<const float> levels_of(LevelSet levels);

PackedMatrix pack(const UnpackedMatrix& matrix);          ///< checks every invariant above with QB_EXPECTS
PackedMatrix pack_f32(MatrixView<const float> weights);   ///< CodeKind::f32
PackedMatrix pack_bf16(MatrixView<const float> weights);  ///< CodeKind::bf16, rounded to nearest, ties to even
std::vector<std::uint8_t> unpack_codes(const PackedMatrix& matrix);  ///< [n, k]; not for f32 and bf16

/// One row of the above, [k] codes each.
void unpack_row(const PackedMatrix& matrix, std::int64_t row, std::uint8_t* codes);

/// The code of real zero for weight (row, column) of an integer format: stored, or the middle code 2^(bits-1).
int zero_of(const PackedMatrix& matrix, std::int64_t row, std::int64_t column);

/// The real values [n, k] that every kernel must agree with, in float32: (code - zero) * scale, or code * scale rounded
/// plus offset, or level[code] * scale, or table[code].
std::vector<float> dequantize(const PackedMatrix& matrix);
void dequantize_row(const PackedMatrix& matrix, std::int64_t row, float* values);  ///< one row of it, [k]

/// The integers of which a format's scales are multiples: scale = super_scale * step. Scale types i4, i6, i8 only.
int scale_step(const PackedMatrix& matrix, std::int64_t row, std::int64_t group);
int offset_step(const PackedMatrix& matrix, std::int64_t row, std::int64_t group);

/// Bytes of codes, scales and offsets as their type stores them, supers (2 each; 4 for e4m3 and dq8), zeros (1 each),
/// table (4).
std::int64_t packed_bytes(const PackedMatrix& matrix);

/// Bits per weight with everything counted: 8 * packed_bytes / (n * k).
double bits_per_weight(const PackedMatrix& matrix);

}  // namespace qb
