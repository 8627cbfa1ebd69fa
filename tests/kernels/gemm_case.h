// Random operands for one matrix product, and what its definition says the result is.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/gemm.h"

namespace qb {

struct GemmCase {
  std::int64_t m = 0;
  PackedMatrix w;
  std::vector<float> a;  ///< [m, k]
};

inline GemmCase gemm_case(const QuantFormat& format, std::int64_t m, std::int64_t n, std::int64_t k, std::uint64_t seed,
                          Fill fill = Fill::random) {
  GemmCase made{m, random_weights(format, n, k, seed, fill), std::vector<float>(std::size_t(m * k))};
  Random random(seed, /*stream=*/2);
  for (float& value : made.a) {
    value = float(random.uniform(-1.0, 1.0));
    if (fill == Fill::lowest || fill == Fill::opposed) value = -1000.0f;
    if (fill == Fill::highest) value = 1000.0f;
    if (fill == Fill::zero || fill == Fill::single) value = 0.0f;
  }
  if (fill == Fill::single)
    for (std::int64_t i = 0; i < m; ++i) made.a[std::size_t(i * k + k - 1)] = 1.0f;
  return made;
}

/// Row scalings that reach every corner: symmetric by row, symmetric fixed, and asymmetric, which reaches code -128.
inline std::vector<RowScaling> scalings_for(Activations activations) {
  if (activations != Activations::s8) return {{}};
  return {{RowScaling::Kind::dynamic_rows, 8, 1.0f, 0},
          {RowScaling::Kind::fixed, 8, 0.01f, 0},
          {RowScaling::Kind::fixed, 8, 0.01f, 37},
          {RowScaling::Kind::fixed, 8, 0.01f, -128},
          {RowScaling::Kind::fixed, 4, 0.2f, 7}};
}

/// The same, and a scale per group of columns where the kernel takes such rows with weights of this format.
inline std::vector<RowScaling> scalings_for(const KernelInfo& kernel, const QuantFormat& format) {
  std::vector<RowScaling> all = scalings_for(kernel.activations);
  for (const std::int64_t group : {32, 256})
    if (takes_activation_group(kernel, format, group))
      all.push_back({.kind = RowScaling::Kind::dynamic_rows, .bits = group == 32 ? 8 : 5, .group = group});
  return all;
}

/// y [m, n] of one kernel.
inline std::vector<float> product(const KernelInfo& kernel, const GemmCase& c, const RowScaling& scaling,
                                  int threads = 1) {
  const PreparedMatrix w = prepare(kernel, c.w);
  std::vector<float> y(std::size_t(c.m * c.w.n), NAN);
  GemmScratch scratch;
  gemm(w, {c.m, c.a.data(), c.w.k, scaling, y.data(), c.w.n, threads}, scratch);
  return y;
}

/// sum over t of |a[i, t] * w[j, t]| for each element of y.
inline std::vector<double> sums_of_magnitudes(const GemmCase& c) {
  const std::vector<float> w = dequantize(c.w);
  std::vector<double> sums;
  for (std::int64_t i = 0; i < c.m; ++i)
    for (std::int64_t j = 0; j < c.w.n; ++j) {
      double sum = 0;
      for (std::int64_t t = 0; t < c.w.k; ++t)
        sum += std::abs(double(c.a[std::size_t(i * c.w.k + t)]) * double(w[std::size_t(j * c.w.k + t)]));
      sums.push_back(sum);
    }
  return sums;
}

/// Empty when `got` agrees with `expected` to within `bound` times the sums of magnitudes; else says where it does not.
inline std::string disagreement(const GemmCase& c, const std::vector<float>& got, const std::vector<float>& expected,
                                double bound) {
  const std::vector<double> sums = bound > 0 ? sums_of_magnitudes(c) : std::vector<double>(got.size(), 0.0);
  for (std::size_t at = 0; at < got.size(); ++at)
    if (!(std::abs(double(got[at]) - double(expected[at])) <= bound * sums[at]))
      return "row " + std::to_string(std::int64_t(at) / c.w.n) + ", column " +
             std::to_string(std::int64_t(at) % c.w.n) + ": " + std::to_string(got[at]) + " instead of " +
             std::to_string(expected[at]);
  return {};
}

}  // namespace qb
