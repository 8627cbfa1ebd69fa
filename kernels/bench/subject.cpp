#include "kernels/bench/subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "kernels/base/random.h"

namespace qb {

namespace {

constexpr std::int64_t kProofProducts = std::int64_t(1) << 27;
constexpr std::int64_t kColdBytes = std::int64_t(192) << 20;
constexpr std::int64_t kMostCopies = 1 << 16;

std::vector<std::int64_t> rows_to_prove(std::int64_t m, std::int64_t weights) {
  const std::int64_t count = std::min(m, std::clamp<std::int64_t>(kProofProducts / weights, 2, 1 << 20));
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(count == 1 ? 0 : i * (m - 1) / (count - 1));
  return rows;
}

/// Bytes of the largest cache that the system names; what sysconf() says is wrong on some virtual machines.
std::int64_t last_level_cache() {
  std::int64_t largest = 0;
  for (int index = 0;; ++index) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    std::int64_t size = 0;
    char unit = 0;
    if (!(file >> size >> unit)) return largest;
    largest = std::max(largest, size << (unit == 'M' ? 20 : 10));
  }
}

}  // namespace

std::vector<float> random_activations(std::int64_t m, std::int64_t k) {
  Random random(/*seed=*/1, /*stream=*/2);
  std::vector<float> a(std::size_t(m * k));
  for (float& value : a) value = float(random.uniform(-1, 1));
  return a;
}

Expectation expected_of(const KernelInfo& reference, const Problem& problem) {
  const std::int64_t n = problem.weights->n, k = problem.weights->k;
  const PreparedMatrix w = prepare(reference, *problem.weights);
  Expectation expected;
  expected.rows = rows_to_prove(problem.m, n * k);
  expected.values.resize(expected.rows.size() * std::size_t(n));
  GemmScratch scratch;
  float* y = expected.values.data();
  for (const std::int64_t row : expected.rows) {
    gemm(w,
         {.m = 1,
          .a = problem.a + row * k,
          .a_stride = k,
          .scaling = scaling_for(reference, problem),
          .y = y,
          .y_stride = n},
         scratch);
    y += n;
  }
  if (rounding_bound(reference, *problem.weights) == 0) return expected;
  std::vector<float> values(std::size_t(k), 0.0f);
  expected.magnitudes.resize(expected.values.size());
  for (std::int64_t j = 0; j < n; ++j) {
    dequantize_row(*problem.weights, j, values.data());
    for (std::size_t i = 0; i < expected.rows.size(); ++i) {
      const float* a = problem.a + expected.rows[i] * k;
      double sum = 0;
      for (std::int64_t t = 0; t < k; ++t) sum += std::abs(double(a[t]) * double(values[std::size_t(t)]));
      expected.magnitudes[i * std::size_t(n) + std::size_t(j)] = sum;
    }
  }
  return expected;
}

Comparison compare(const KernelInfo& kernel, const Problem& problem, const Expectation& expected,
                   std::span<const float> y) {
  const auto n = std::size_t(problem.weights->n);
  Comparison result;
  result.bound = rounding_bound(kernel, *problem.weights);
  for (std::size_t i = 0; i < expected.rows.size(); ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const float got = y[std::size_t(expected.rows[i]) * n + j], right = expected.values[i * n + j];
      const double difference = std::abs(double(got) - double(right));
      const double unit = expected.magnitudes.empty() ? 1.0 : expected.magnitudes[i * n + j];
      if (!(difference <= result.bound * unit) && result.fault.empty())
        result.fault =
            fmt::format("wrong result: row {}, column {} is {} instead of {}", expected.rows[i], j, got, right);
      if (difference > 0) result.error = std::max(result.error, difference / unit);
    }
  }
  return result;
}

Comparison compare_exactly(std::span<const float> expected, std::span<const float> got) {
  return compare_within(0, {}, expected, got);
}

Comparison compare_within(double bound, std::span<const float> magnitudes, std::span<const float> expected,
                          std::span<const float> got) {
  Comparison result{.error = 0, .bound = bound, .fault = {}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double(got[i]) - double(expected[i]));
    const double unit = magnitudes.empty() ? 1.0 : double(magnitudes[i]);
    if (!(difference <= bound * unit) && result.fault.empty())
      result.fault = fmt::format("wrong result: value {} is {} instead of {}", i, got[i], expected[i]);
    if (difference > 0) result.error = std::max(result.error, difference / unit);
  }
  return result;
}

std::int64_t cold_bytes() { return std::max(kColdBytes, 6 * last_level_cache()); }

std::size_t copies_in(std::int64_t bytes, const PreparedMatrix& weights) {
  return std::size_t(std::min(bytes / std::int64_t(weights.bytes.size()) + 2, kMostCopies));
}

void multiply(Subject& subject, const Problem& problem, int threads) {
  const std::int64_t n = problem.weights->n, k = problem.weights->k;
  gemm(subject.weights[subject.next],
       {.m = problem.m,
        .a = problem.a,
        .a_stride = k,
        .scaling = scaling_for(*subject.kernel, problem),
        .y = subject.y.data(),
        .y_stride = n,
        .threads = threads},
       subject.scratch);
  subject.next = subject.next + 1 < subject.weights.size() ? subject.next + 1 : 0;
}

RowScaling scaling_for(const KernelInfo& kernel, const Problem& problem) {
  return kernel.activations == Activations::s8 ? problem.scaling : RowScaling{};
}

Limit arithmetic_of(const KernelInfo& kernel) {
  if (kernel.activations == Activations::binary) return Limit::binary;
  if (kernel.activations == Activations::s8) return Limit::s8;
  return includes(kernel.needs, Isa::avx512bf16) ? Limit::bf16 : Limit::f32;
}

}  // namespace qb
