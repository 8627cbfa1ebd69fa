// One matrix product at a time: float activations in, float results out, quantization of the rows included.
#pragma once
#include <cstdint>

#include "kernels/activation_rows.h"
#include "kernels/packed_matrix.h"
#include "kernels/registry.h"

namespace qb {

/// Weights made ready for one kernel. Immutable; shares nothing with the PackedMatrix it was made from.
struct PreparedMatrix {
  const KernelInfo* kernel = nullptr;
  QuantFormat format;
  std::int64_t n = 0, k = 0;
  Buffer bytes;
};
PreparedMatrix prepare(const KernelInfo& kernel, const PackedMatrix& weights);

/// y[i, j] = sum over t of a[i, t] * w[j, t], for i < m, j < n; a is read as rows of k floats, y overwritten.
///
/// Errors   none: promises are checked with QB_EXPECTS. Values that are not finite give unspecified codes, never a
/// crash. Threads  up to `threads`, split by columns or rows, never along k: the same bits at every thread count.
struct GemmCall {
  std::int64_t m = 0;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  RowScaling scaling;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  int threads = 1;
  /// In place of a, for int8 kernels: rows that Kind::fixed of `scaling` has quantized already, row i at
  /// codes + i * a_stride, readable up to the next multiple of 64, where they hold the code of zero.
  const std::int8_t* codes = nullptr;
};

void gemm(const PreparedMatrix& w, const GemmCall& call, GemmScratch& scratch);

/// The largest |optimized - reference| that rounding alone explains, as a multiple of sum over t of |a[t] * w[t]| (the
/// real values): 0 where the family is exact in integers and rounds once, else derived from k, the groups and 2^-24.
double rounding_bound(const KernelInfo& kernel, const PackedMatrix& weights);

}  // namespace qb
