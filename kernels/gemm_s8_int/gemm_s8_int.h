// Product of 8-bit activations and weights whose levels are integers times a scale: integers of 1 to 8 bits, and the
// level sets binary, ternary, trit, e2m1 (unit 1/2), e2m3 (unit 1/8), iq4nl, pot4 and apot4; one scale (and zero
// or offset) per group along k, per channel or per tensor, in any scale type.
//
// Prepared layouts begin with the struct S8Int.
//
// Reference: at the offsets it names, level [n, k] int16, scale and offset [n, groups] float32.
//
// Panels (all variants; trits at 2 bits): some columns side by side (avx512vnni 32 in vectors of 16, avx2 and
// avxvnni 8, ARM 8 in vectors of 4), the last panel as narrow as whole vectors allow. A panel is one rising stream of
// spans along k. A span is a section of parameters, padded to whole lines of 4 * vector bytes, then its chunks; the
// last span has only the chunks it needs.
//
// - Section: with scale steps, one float16 per column by which they are multiplied, then the same for offsets; then,
// for
//   each group of the span, scale, offset and zero point of each column, as far as there are any. Groups never begin or
//   end but at multiples of 16 or at the end of k.
// - Chunk: 32 weights along k, eight quads of four. For each vector of columns the planes of the code's bits, low bits
//   first: the binary digits of `bits`, the largest first (5 = 4 + 1, 7 = 4 + 2 + 1). A plane of p bits has p lines of
//   [column][4] bytes; quad q lies in line q % p at bit q / p * p of its bytes.
//
// Weights beyond k have code 0, and need not mean zero: rows of a hold their zero there.
//
// Source: group-wise weight grids as evaluated by Frantar et al., GPTQ (arXiv:2210.17323), section 4; the level sets
// where kernels/quant_format.h says. The layout is our own.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// How scales and offsets lie in a panel. Whatever a format's scale type is, values that its form cannot hold times the
/// level set's unit exactly are stored as f32.
enum class S8IntScale : std::int32_t {
  f32,
  f16,
  power,  ///< one byte: the exponent field of a float32, 1 to 254
  e4m3,   ///< one byte, OCP E4M3; times S8Int::e4m3_unit, which is below 2^119
  steps,  ///< one byte; (byte + S8Int::lowest_step) times the span's float16 of the column
};

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct S8Int {
  std::int64_t group;    ///< weights per scale; k for one per channel or tensor
  std::int64_t groups;   ///< per row
  std::int64_t bits;     ///< of a code
  std::int64_t codes;    ///< panels, or the reference's levels
  std::int64_t scales;   ///< reference only
  std::int64_t offsets;  ///< reference only

  std::int64_t span;             ///< weights per section of parameters: a multiple of 32, or at least k
  std::int64_t groups_per_span;  ///< in full spans
  std::int64_t panel_bytes;      ///< of a panel that is not the last
  std::int64_t super_bytes;      ///< per column of a section: 0, 2, or 4 with offsets
  std::int64_t scale_bytes;      ///< per column and group: 4, 2 or 1
  std::int64_t offset_bytes;     ///< the same, or 0: there are none
  std::int64_t zero_bytes;       ///< 1, or 0: real zero is level 1 << middle_shift
  std::int64_t middle_shift;     ///< 32 where zeros or offsets are stored
  S8IntScale form;               ///< of scales and offsets
  std::int32_t lowest_step, lowest_offset_step;
  std::int32_t lowest_power, highest_power;  ///< the least and the largest byte of S8IntScale::power
  float e4m3_unit;
  /// By code: the unsigned level, real level / unit + 2^middle_shift; for integers the code itself (the first 64).
  std::uint8_t level[64];
};

/// y[i, j] = a_scale[i] * S, where S starts from 0 and takes, for each group g in rising order,
///   S = fma(float(dot(i, j, g)), scale[j, g], S), and with offsets then S = fma(float(sum(i, g)), offset[j, g], S);
///   dot(i, j, g) = sum over t in g of (a[i, t] - a_zero[i]) * level[j, t], sum(i, g) the same with level 1.
///
/// Where a row has a scale for each group of w (a_scales is groups), they are part of the terms:
///   S = fma(float(dot(i, j, g)), scale[j, g] * a_scale[i, g], S), then
///   S = fma(float(sum(i, g)), offset[j, g] * a_scale[i, g], S), each product of scales rounded to float32; y = S.
///   Every a_zero is 0 then.
///
/// level is the code less its zero (less nothing with offsets), or the real level divided by the set's unit; scale is
/// the unit times the format's scale, in float32.
///
/// Shapes     as named in GemmArgs; m >= 1; rows of a padded with a_zero; a_group_sum [m, groups].
/// Numbers    a in [-128, 127], every code of the format allowed. Both sums are exact in int32 (prepare() refuses a
///            group at which they could not be) and become float32 by rounding to nearest even. All variants agree bit
///            for bit.
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_s8_int_ref(const GemmArgs& args);

}  // namespace qb
