// Product of bf16 activations and bf16 weights. Takes every weight format: what is stored as codes (or float32) is
// decoded and rounded to bf16 when it is loaded.
//
// Prepared layout: [n, k] bf16 for the reference, struct WeightPanels (gemm_f32_w/weight_panels.h) with values for the
// variants.
//
// Source: as gemm_f32_f32 and gemm_bf16_w.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// y[i, j] = sum over t of a[i, t] * w[j, t]
///
/// Shapes     as named in GemmArgs; m >= 1; a bf16, rows padded with zeros to a multiple of 64; a_scale, a_zero and
///            a_group_sum unused.
/// Numbers    the reference rounds each sum to float32 in rising order of t; products are exact. The variants round and
///            treat numbers below 2^-126 as those of gemm_bf16_w do, and differ from it by at most rounding_bound().
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_bf16_bf16_ref(const GemmArgs& args);

}  // namespace qb
