// Product of float32 activations and float32 weights. Takes every weight format: what is stored as codes is decoded to
// float32 when it is loaded, so that the product runs, at the cost of 32 derived bits per weight.
//
// Prepared layout: panels (kernels/panels.h) of float32, quad 1: [n, k] for the reference, 16 columns in vectors of 8
// for avx2, 64 columns in vectors of 16 for avx512, 16 columns in vectors of 4 for neon.
//
// Source: the order of loops (a panel of the weights in the second-level cache, a tile of the result in registers)
// follows Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008); layout and tiles are our
// own.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// y[i, j] = sum over t of a[i, t] * w[j, t]
///
/// Shapes     as named in GemmArgs; m >= 1; a float32; a_scale, a_zero and a_group_sum unused.
/// Numbers    summed in float32 in rising order of t, one accumulator per element of y: the reference rounds each
/// product
///            and each sum, the others round once per fused multiply-add. Hence the bits of y[i, j] depend neither on m
///            nor on the range of columns, and variants differ from the reference by at most rounding_bound().
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_f32_f32_ref(const GemmArgs& args);

}  // namespace qb
