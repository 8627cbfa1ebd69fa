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
  /// [m, k] float32, bf16, int8 codes, or sign bits in 64-bit words; row i at a + i * a_stride elements (words). bf16
  /// and int8 rows are padded with real zero to a multiple of 64.
  const void* a;
  std::int64_t a_stride;
  /// [m, a_scales] real value of one step; [m] mean magnitude of sign bits; else null.
  const float* a_scale;
  std::int64_t a_scales;            ///< 1: one scale per row; else one for each group of w (gemm_s8_int)
  const std::int32_t* a_zero;       ///< [m] code of real zero; int8 only, else null
  const std::int32_t* a_group_sum;  ///< [m, groups] sum of (code - zero) within each group of w; int8 only, else null
  const void* w;                    ///< weights in the kernel's own layout, 64-byte aligned, made by its prepare()
  float* y;                         ///< [m, n], row i at y + i * y_stride; overwritten
  std::int64_t y_stride;
  int threads;  ///< that the kernel may use itself: 1, or the call's where KernelInfo::takes_whole_calls
};
using GemmFn = void (*)(const GemmArgs&);

}  // namespace qb
