// Operands of y = a * transpose(w), as raw memory. Filled by gemm(), which checks everything.
//
// Deliberately without member functions: this header is compiled under every instruction-set flag, and an inline
// function here could reach a machine that cannot execute it.
#pragma once
#include <cstdint>

namespace qb {

/// One call of a kernel: rows [0, m) of a against columns [n_begin, n_end) of the result. Row counts and column ranges
/// are chosen by gemm(); n_begin is a multiple of the kernel's column step.
struct GemmArgs {
  std::int64_t m, n, k;         ///< y is [m, n]; k is the depth
  std::int64_t n_begin, n_end;  ///< columns of y to fill
  const void* a;                ///< [m, k] float32 or int8 codes, row i at a + i * a_stride elements
  std::int64_t a_stride;        ///< in elements; int8 rows are zero-padded (code of real zero) to a multiple of 64
  const float* a_scale;         ///< [m] real value of one step; null for float32 a
  const std::int32_t* a_zero;   ///< [m] code of real zero; null for float32 a
  const std::int32_t*
      a_group_sum;  ///< [m, groups] sum of (code - zero) within each group of w, or null when not asked for
  const void* w;    ///< weights in the kernel's own layout, 64-byte aligned, made by its prepare()
  float* y;         ///< [m, n], row i at y + i * y_stride; overwritten
  std::int64_t y_stride;
};
using GemmFn = void (*)(const GemmArgs&);

}  // namespace qb
