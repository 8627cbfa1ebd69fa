// Product of float32 activations and weights that stay in their bits: integers, tables, sets of levels, bf16.
//
// Prepared layouts: struct WeightCodes below for the reference, struct WeightPanels (weight_panels.h) for the variants.
//
// Source: weights in groups as Frantar et al., GPTQ (arXiv:2210.17323), and Dettmers et al., QLoRA (arXiv:2305.14314);
// layout, decoders and loops are our own.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// The reference's weights: one element per code, parameters as the matrix has them. Offsets in bytes from the struct,
/// multiples of 64; 0: there is none.
struct WeightCodes {
  std::int64_t group, groups;  ///< weights per parameter (k for one per channel or tensor), parameters per row
  std::int64_t values;         ///< bf16 weights: [n, k] bit patterns; else 0
  std::int64_t codes;          ///< [n, k] bytes
  std::int64_t table;          ///< [table_size] levels by code, or [n, groups, table_size]; without zeros
  std::int64_t table_size;
  std::int64_t own_tables;  ///< 1: each group of each row has its table
  std::int64_t zero;        ///< [n, groups] float32, subtracted from the level
  std::int64_t scale;       ///< [n, groups] float32
  std::int64_t offset;      ///< [n, groups] float32
};

/// y[i, j] = sum over t of a[i, t] * w[j, t], w as dequantize() gives it
///
/// Shapes     as named in GemmArgs; m >= 1; a float32; a_scale, a_zero and a_group_sum unused.
/// Numbers    the reference rounds w, each product and each sum, in rising order of t. The variants sum a * level in
///            float32 by fused multiply-adds over at most 256 weights of one group, and add such a sum times the scale
///            to the result; with offsets the level is w and the scale 1. With a table for each channel, weight t goes
///            to one of as many sums as a vector has lanes, t modulo their number, and every 32 vectors of weights
///            these are added in a fixed tree. Hence the bits of y[i, j] depend neither on m nor on the range of
///            columns, and variants differ from the reference by at most rounding_bound().
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_f32_w_ref(const GemmArgs& args);
void gemm_f32_w_avx2(const GemmArgs& args);
void gemm_f32_w_avx512(const GemmArgs& args);
void gemm_f32_w_neon(const GemmArgs& args);

}  // namespace qb
