// Products of two float32 matrices that are both known only when they are multiplied: the kernels of gemm_f32_f32, with
// the second matrix put into their panels in each call. Products with weights go through gemm().
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/cpu.h"

namespace qb {

/// y[i, j] = sum over t of a[i, t] * b[t, j], y overwritten. Element (i, t) of a is a[i * a_row + t * a_column], b
/// likewise.
struct FloatProduct {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_row = 0, a_column = 1;
  const float* b = nullptr;
  std::int64_t b_row = 0, b_column = 1;
  float* y = nullptr;
  std::int64_t y_row = 0;
};

/// Reused between calls so that a timed call allocates nothing once warm.
struct FloatProductScratch {
  struct Worker {
    Buffer panel, rows;
  };
  std::vector<Worker> workers;
  std::int64_t bytes() const;
};

/// Carries out products 0 to count - 1, all of the same m, n and k, by the best kernel within `isa` (Isa::none: by the
/// reference). Numbers are those of gemm_f32_f32.h.
///
/// Threads  up to `threads`, split by products and columns: the same bits at every thread count.
void multiply_floats(std::int64_t count, const std::function<FloatProduct(std::int64_t)>& product, Isa isa, int threads,
                     FloatProductScratch& scratch);

}  // namespace qb
