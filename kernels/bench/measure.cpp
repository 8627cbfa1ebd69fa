#include "kernels/bench/measure.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/random.h"
#include "kernels/bench/random_matrix.h"

namespace qb {

namespace {

constexpr std::int64_t kProofProducts = std::int64_t(1) << 28;  // multiply-adds that a reference may take for one proof
constexpr std::int64_t kReferenceProducts = std::int64_t(1) << 26;  // and to be timed itself
constexpr std::int64_t kColdBytes = std::int64_t(192) << 20;

RowScaling scaling_for(const KernelInfo& kernel) {
  RowScaling scaling;
  if (kernel.activations == Activations::s8) scaling.kind = RowScaling::Kind::dynamic_rows;
  return scaling;
}

/// Rows to compare with the reference: all, or as many as it may take, spread evenly, first and last among them.
std::vector<std::int64_t> rows_to_prove(const LayerShape& shape) {
  const std::int64_t affordable = std::clamp<std::int64_t>(kProofProducts / (shape.n * shape.k), 2, 1 << 20);
  std::vector<std::int64_t> rows;
  const std::int64_t count = std::min(shape.m, affordable);
  for (std::int64_t i = 0; i < count; ++i) rows.push_back(count == 1 ? 0 : i * (shape.m - 1) / (count - 1));
  return rows;
}

/// Empty when the place's result agrees with the reference on the rows that are compared; else says where it does not.
std::string fault_of(const BenchmarkCase& c, const Workplace& place) {
  const KernelInfo& reference = reference_of(*c.kernel);
  const PreparedMatrix w = prepare(reference, place.weights);
  const double bound = rounding_bound(*c.kernel, place.weights);
  const std::vector<float> values = bound > 0 ? dequantize(place.weights) : std::vector<float>();
  std::vector<float> expected(std::size_t(c.shape.n));
  GemmScratch scratch;
  for (const std::int64_t row : rows_to_prove(c.shape)) {
    const float* a = place.a.data() + row * c.shape.k;
    gemm(w, {1, a, c.shape.k, scaling_for(reference), expected.data(), c.shape.n, 1}, scratch);
    for (std::int64_t j = 0; j < c.shape.n; ++j) {
      double magnitudes = 0;
      for (std::int64_t t = 0; bound > 0 && t < c.shape.k; ++t)
        magnitudes += std::abs(double(a[t]) * double(values[std::size_t(j * c.shape.k + t)]));
      const float got = place.proven[std::size_t(row * c.shape.n + j)], right = expected[std::size_t(j)];
      if (!(std::abs(double(got) - double(right)) <= bound * magnitudes))
        return fmt::format("wrong result: row {}, column {} is {} instead of {}", row, j, got, right);
    }
  }
  return {};
}

std::size_t cold_copies(const PreparedMatrix& w) {
  const std::int64_t cache = std::max<std::int64_t>(::sysconf(_SC_LEVEL3_CACHE_SIZE), 0);
  return std::size_t(std::max(kColdBytes, 6 * cache)) / w.bytes.size() + 2;
}

struct Limit {
  double seconds;
  const char* name;
};

/// The least time that the machine's own peaks allow.
Limit limit_for(const BenchmarkCase& c, const Peaks& peaks, double weight_bytes) {
  const double ops = 2.0 * double(c.shape.m) * double(c.shape.n) * double(c.shape.k);
  const bool integer = c.kernel->activations == Activations::s8;
  const Limit compute = {ops / (integer ? peaks.s8_ops_per_s : peaks.f32_ops_per_s),
                         integer ? "int8 rate" : "f32 rate"};
  const Limit read = {weight_bytes / peaks.read_bytes_per_s, "read bandwidth"};
  return c.shape.m == 1 && read.seconds > compute.seconds ? read : compute;
}

GemmCall call_of(const BenchmarkCase& c, const Workplace& place, float* y) {
  return {c.shape.m, place.a.data(), c.shape.k, scaling_for(*c.kernel), y, c.shape.n, c.threads};
}

/// Random activations and weights of the case's shape and format, unless the place has them.
void make_operands(const BenchmarkCase& c, Workplace& place) {
  const std::string key = fmt::format("{} {} {} {}", to_text(c.format), c.shape.m, c.shape.n, c.shape.k);
  if (place.operands_key == key) return;
  Random random(/*seed=*/1);
  place.a.resize(std::size_t(c.shape.m * c.shape.k));
  for (float& value : place.a) value = float(random.uniform(-1, 1));
  place.weights = random_weights(c.format, c.shape.n, c.shape.k, /*seed=*/1);
  place.operands_key = key;
}

/// Prepared weights, and the result with its proof, unless the place has them.
void make_ready(const BenchmarkCase& c, Workplace& place) {
  if (place.key == name_of(c)) return;
  make_operands(c, place);
  place.pool.clear();
  place.pool.push_back(prepare(*c.kernel, place.weights));
  if (c.shape.m == 1) place.pool.resize(cold_copies(place.pool.front()), place.pool.front());
  place.proven.assign(std::size_t(c.shape.m * c.shape.n), 0.0f);
  GemmScratch scratch;
  gemm(place.pool.front(), call_of(c, place, place.proven.data()), scratch);
  place.fault = fault_of(c, place);
  place.key = name_of(c);
}

}  // namespace

std::string name_of(const BenchmarkCase& c) {
  return fmt::format("{}/{}/m:{}/n:{}/k:{}/threads:{}", c.kernel->name, to_text(c.format), c.shape.m, c.shape.n,
                     c.shape.k, c.threads);
}

void measure(benchmark::State& state, const BenchmarkCase& c, const Peaks& peaks, Workplace& place) {
  const std::int64_t products = c.shape.m * c.shape.n * c.shape.k;
  if (c.kernel->reference && products > kReferenceProducts)
    return state.SkipWithError("a reference is not timed on so large a product");
  if (!includes(host_isa(), c.kernel->needs))
    return state.SkipWithError("this machine or its cap lacks the instructions");
  make_ready(c, place);
  if (!place.fault.empty()) return state.SkipWithError(place.fault.c_str());
  std::vector<float> y(place.proven.size());
  const GemmCall call = call_of(c, place, y.data());
  GemmScratch scratch;
  gemm(place.pool.front(), call, scratch);
  std::size_t next = 0;
  for (auto _ : state) {
    gemm(place.pool[next], call, scratch);
    benchmark::ClobberMemory();
    next = next + 1 < place.pool.size() ? next + 1 : 0;
  }
  if (y != place.proven) return state.SkipWithError("wrong result: the timed product differs from the proven one");
  const auto weight_bytes = double(place.pool.front().bytes.size());
  const Limit limit = limit_for(c, peaks, weight_bytes);
  using benchmark::Counter;
  state.counters[kOpsRate] = Counter(2.0 * double(products), Counter::kIsIterationInvariantRate);
  state.counters[kWeightRate] = Counter(weight_bytes, Counter::kIsIterationInvariantRate);
  state.counters[kPeakShare] = Counter(100.0 * limit.seconds, Counter::kIsIterationInvariantRate);
  state.SetLabel(fmt::format("{}, of {}", c.shape.m == 1 ? "cold" : "hot", limit.name));
}

}  // namespace qb
