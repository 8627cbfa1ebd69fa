// Product of bf16 activations and weights that stay in their bits: integers, tables, sets of levels.
//
// Prepared layouts: as gemm_f32_w (WeightCodes for the reference, WeightPanels for the variants), with levels rounded
// to bf16.
//
// Source: as gemm_f32_w; the layout puts the codes of two weights that vdpbf16ps takes together into one 32-bit lane.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// y[i, j] = sum over groups g of scale[j, g] * sum over t in g of a[i, t] * level[j, t]
///
/// Shapes     as named in GemmArgs; m >= 1; a bf16, rows padded with zeros to a multiple of 64; a_scale, a_zero and
///            a_group_sum unused.
/// Numbers    level is code - zero, the number of the level set, or the table's, as bf16: integers and floats of up to
///            8 bits are exact, NF4, AF4 and tables are rounded to nearest even. With stored offsets the level is
///            code * scale + offset as dequantize() gives it, rounded to bf16, and the scale is 1. The reference rounds
///            each sum in rising order of t. The variants scale after at most 256 weights; by shifting bf16 to float32
///            they round once per multiply-add, vdpbf16ps once or twice per pair. vdpbf16ps takes numbers below 2^-126
///            as zero and gives zero for them: that adds at most 2^-125 to a sum of levels for each weight, which the
///            relative rounding_bound() covers while sum |a * level| is at least 2^-100. The bits of y[i, j] depend
///            neither on m nor on the range of columns; variants differ from the reference by at most rounding_bound().
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_bf16_w_ref(const GemmArgs& args);
void gemm_bf16_w_avx512(const GemmArgs& args);

}  // namespace qb
