// One kernel on one product: operands, the proof that its result is right, and the call that is timed.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/peaks.h"

namespace qb {

/// y [m, n] = a [m, k] * transpose(weights [n, k]). Refers to operands that others own.
struct Problem {
  const PackedMatrix* weights = nullptr;
  const float* a = nullptr;  ///< rows of k
  std::int64_t m = 0;
  RowScaling scaling = {RowScaling::Kind::dynamic_rows};  ///< for kernels that read int8
};

std::vector<float> random_activations(std::int64_t m, std::int64_t k);  ///< [m, k] in [-1, 1), the same at every call

/// What a family's reference makes of a problem: all rows, or as many as it can do in 2^27 multiply-adds, spread
/// evenly, first and last among them.
struct Expectation {
  std::vector<std::int64_t> rows;
  std::vector<float> values;       ///< [rows, n]
  std::vector<double> magnitudes;  ///< [rows, n] sum over t of |a w|; empty where the family is exact
};
Expectation expected_of(const KernelInfo& reference, const Problem& problem);

/// How far a result is from the reference. Errors and bounds are multiples of the sums of magnitudes; where the family
/// is exact the bound is 0 and the error the largest difference.
struct Comparison {
  double error = 0;
  double bound = 0;
  std::string fault;  ///< empty, or where the first wrong element stands
};
Comparison compare(const KernelInfo& kernel, const Problem& problem, const Expectation& expected,
                   std::span<const float> y);

/// Likewise where a variant must give the reference's values, all of them.
Comparison compare_exactly(std::span<const float> expected, std::span<const float> got);

/// Likewise where a value may differ by `bound` times its magnitude.
Comparison compare_within(double bound, std::span<const float> magnitudes, std::span<const float> expected,
                          std::span<const float> got);

/// Bytes that are too many for every cache to keep any of them until its turn comes again: 192 MiB or six last-level
/// caches, whichever is more.
std::int64_t cold_bytes();

/// Copies of the prepared weights that together have so many bytes and one copy more; at most 65536.
std::size_t copies_in(std::int64_t bytes, const PreparedMatrix& weights);

/// A kernel with weights in its own layout, ready to multiply.
struct Subject {
  const KernelInfo* kernel = nullptr;
  std::vector<PreparedMatrix> weights;  ///< one, or copies_in(cold_bytes()), used in turn
  std::vector<float> y;                 ///< [m, n]
  GemmScratch scratch;
  std::size_t next = 0;
};

/// One product, quantization of the rows included. Allocates nothing once warm.
void multiply(Subject& subject, const Problem& problem, int threads);

/// The problem's scaling for int8 kernels; none for others.
RowScaling scaling_for(const KernelInfo& kernel, const Problem& problem);

/// Which rate of this machine limits the kernel's arithmetic: that of its activations, or bf16 where it multiplies so.
Limit arithmetic_of(const KernelInfo& kernel);

}  // namespace qb
