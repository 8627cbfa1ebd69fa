// One matrix product at a time: float activations in, float results out, quantization of the rows included.
#pragma once
#include <cstdint>
#include <vector>

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

/// How the rows of a become int8 codes q with real value scale * (q - zero). bits 2..8: q in
/// [-(2^(bits-1)-1), 2^(bits-1)-1] where symmetric (zero 0), else [-2^(bits-1), 2^(bits-1)-1].
struct RowScaling {
  enum class Kind : std::uint8_t {
    none,          ///< float kernels
    dynamic_rows,  ///< each row by its own absolute maximum, symmetric: scale = absmax / (2^(bits-1)-1), 1 for a zero
                   ///< row
    fixed,         ///< scale and zero as given, for every row
  };
  Kind kind = Kind::none;
  int bits = 8;
  float scale = 1.0f;     ///< > 0, finite; Kind::fixed only
  std::int32_t zero = 0;  ///< Kind::fixed only
};

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
};

/// Reused between calls so that a timed call allocates nothing once warm.
struct GemmScratch {
  std::vector<std::int8_t> codes;
  std::vector<float> scale;
  std::vector<std::int32_t> zero, group_sum;
  std::int64_t bytes() const;
};

void gemm(const PreparedMatrix& w, const GemmCall& call, GemmScratch& scratch);

/// The largest |optimized - reference| that rounding alone explains, as a multiple of sum over t of |a[t] * w[t]| (the
/// real values): 0 where the family is exact in integers and rounds once, else derived from k, the groups and 2^-24.
double rounding_bound(const KernelInfo& kernel, const PackedMatrix& weights);

}  // namespace qb
