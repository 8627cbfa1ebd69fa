// Product of activations that are signs with weights that are signs: popcounts.
//
// Prepared layout: the struct BinaryBinary below, then at the offsets it names
// - reference: codes [n, ceil(k / 64)] words, low bit first; scale [n, groups] float32.
// - variants: one rising stream of panels of `columns` columns, the last as narrow as whole vectors allow. In a panel,
//   for each group: the codes [group / (8 * quad)][width][quad] as bytes, eight along k in each, low bit first; then
//   one float32 scale per column. avx512vpopcnt: 32 columns in vectors of 16, quad 4; avx2: 64 columns in vectors of
//   32, quad 1; neon: 16 columns in vectors of 4, quad 4. A last group that is shorter has whole 64-bit words. Padding
//   holds code 0, as that of the activations does.
//
// Source: Courbariaux et al., Binarized Neural Networks (arXiv:1602.02830), section 1.3; the scales are those of
// Rastegari et al., XNOR-Net (arXiv:1603.05279), section 3.2. The layout is our own.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct BinaryBinary {
  std::int64_t group;   ///< weights per scale, a multiple of 64; k or more for one scale per channel
  std::int64_t groups;  ///< per row
  std::int64_t codes;
  std::int64_t scale;  ///< reference only
};

/// y[i, j] = a_scale[i] * sum over groups g of float(dot(i, j, g)) * scale[j, g], where
/// dot(i, j, g) = sum over t in g of s(a[i, t]) * s(code[j, t]), s(1) = 1, s(0) = -1
///
/// Shapes     as named in GemmArgs; m >= 1; a in words of 64 bits, bits from k on 0.
/// Numbers    with c = the weights in g: dot = c - 2 * popcount(a xor code), exact in int32, becomes float32 by
/// rounding
///            to nearest even. Groups are summed in rising order by one fused multiply-add each, starting from 0;
///            a_scale is multiplied last. All variants agree bit for bit.
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_binary_binary_ref(const GemmArgs& args);

}  // namespace qb
