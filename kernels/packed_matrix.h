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
///          row_bytes = ceil(k * bits / 8). For f32: the n * k values, little-endian.
/// scales   [1] per tensor, [n] per channel, [n, groups_per_row] per group; empty for f32 and tables. Finite, > 0.
/// zeros    same shape as scales when format.zeros, else empty; each in [0, 2^bits - 1].
/// table    [1, 2^bits] or [n, 2^bits] or [n, groups, 2^bits] levels; empty unless CodeKind::table. Finite.
struct PackedMatrix {
  QuantFormat format;
  std::int64_t n = 0, k = 0;
  Buffer codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  std::vector<float> table;
  std::string digest;  ///< SHA-256 over format text, n, k and all arrays; equal contents have equal digests

  std::int64_t row_bytes() const { return format.kind == CodeKind::f32 ? 4 * k : (k * format.bits + 7) / 8; }
  /// Index into scales/zeros of weight (row, column), and of the first level of its table divided by 2^bits.
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
};

PackedMatrix pack(const UnpackedMatrix& matrix);                     ///< checks every invariant above with QB_EXPECTS
PackedMatrix pack_f32(MatrixView<const float> weights);              ///< CodeKind::f32
std::vector<std::uint8_t> unpack_codes(const PackedMatrix& matrix);  ///< [n, k]; not for f32

/// One row of the above, [k] codes each.
void unpack_row(const PackedMatrix& matrix, std::int64_t row, std::uint8_t* codes);

/// The code of real zero for weight (row, column) of an integer format: stored, or the middle code 2^(bits-1).
int zero_of(const PackedMatrix& matrix, std::int64_t row, std::int64_t column);

/// The real values [n, k] that every kernel must agree with: integer (code - zero) * scale in float32, or table[code].
std::vector<float> dequantize(const PackedMatrix& matrix);
void dequantize_row(const PackedMatrix& matrix, std::int64_t row, float* values);  ///< one row of it, [k]

/// Bytes of codes, scales (4 each), zeros (1 each) and table (4 each).
std::int64_t packed_bytes(const PackedMatrix& matrix);

/// Bits per weight with everything counted: 8 * packed_bytes / (n * k).
double bits_per_weight(const PackedMatrix& matrix);

}  // namespace qb
