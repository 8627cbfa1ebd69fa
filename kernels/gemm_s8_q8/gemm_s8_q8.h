// Product of 8-bit activations and integer weights of 1 to 8 bits with one scale per output channel (or tensor).
//
// Prepared layout: the struct S8Q8 below, then at the offsets it names scale, zero and code_sum, [columns] each
// (columns: n padded to whole vectors), then the codes as bytes 0..255 in panels (kernels/panels.h): [n, k] for the
// reference; 16 columns in vectors of 8, quad 2 for avx2 and 4 for avxvnni; 64 columns in vectors of 16, quad 4 for
// avx512vnni. Narrow codes are widened to bytes. Padding holds code 0, which adds nothing whatever the activation.
// ARM's instructions take signed bytes: for neon (quad 2), dotprod (quad 4) and i8mm (quad 8), codes and zeros have the
// middle code 2^(bits-1) subtracted, in panels of 16 columns in vectors of 8; k is padded with bytes 0 to a multiple
// of 16.
//
// Source: the expansion of the zero points is that of Jacob et al., Quantization and Training of Neural Networks for
// Efficient Integer-Arithmetic-Only Inference (arXiv:1712.05877), section 2.3.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct S8Q8 {
  std::int64_t scale;     ///< float32: real value of one step
  std::int64_t zero;      ///< int32: the code of real zero
  std::int64_t code_sum;  ///< int32: sum over t < k of the code
  std::int64_t codes;
};

/// y[i, j] = float(sum over t of (a[i, t] - a_zero[i]) * (code[j, t] - zero[j])) * (a_scale[i] * scale[j])
///
/// Shapes     as named in GemmArgs; m >= 1; rows of a padded with a_zero; a_group_sum has one entry per row.
/// Numbers    a in [-128, 127], code in [0, 255], every value allowed. The sum is exact: prepare() refuses a k at which
/// it
///            could leave int32. It becomes float32 by rounding to nearest even, the scales are multiplied first, then
///            the sum: three roundings in this order, so all variants agree bit for bit.
/// Variants   compute code * a in int32 arithmetic modulo 2^32, and then the sum as
///            dot(a, code) - a_zero * code_sum - zero * a_group_sum, which is equal modulo 2^32, hence equal.
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_s8_q8_ref(const GemmArgs& args);

}  // namespace qb
