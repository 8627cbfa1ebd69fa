#include "kernels/bench/measure.h"

#include <fmt/format.h>

#include "kernels/bench/choice.h"
#include "kernels/bench/random_matrix.h"

namespace qb {

namespace {

/// Random activations and weights of the case's shape and format, unless the place has them.
void make_operands(const BenchmarkCase& c, Workplace& place) {
  const std::string key = fmt::format("{} {} {} {}", to_text(c.format), c.shape.m, c.shape.n, c.shape.k);
  if (place.operands_key == key) return;
  place.a = random_activations(c.shape.m, c.shape.k);
  place.weights = random_weights(c.format.weights, c.shape.n, c.shape.k, /*seed=*/1);
  place.operands_key = key;
}

Problem problem_of(const BenchmarkCase& c, const Workplace& place) {
  Problem problem{&place.weights, place.a.data(), c.shape.m};
  problem.scaling.group = c.format.activation_group;
  return problem;
}

/// Prepared weights, and the result with its proof, unless the place has them.
void make_ready(const BenchmarkCase& c, Workplace& place) {
  if (place.key == name_of(c)) return;
  make_operands(c, place);
  const Problem problem = problem_of(c, place);
  place.subject = {
      .kernel = c.kernel, .weights = {}, .y = std::vector<float>(std::size_t(c.shape.m * c.shape.n)), .scratch = {}};
  place.subject.weights.push_back(prepare(*c.kernel, place.weights));
  multiply(place.subject, problem, c.threads);
  place.proven = place.subject.y;
  place.fault = compare(*c.kernel, problem, expected_of(reference_of(*c.kernel), problem), place.proven).fault;
  if (c.shape.m == 1)
    place.subject.weights.resize(copies_in(cold_bytes(), place.subject.weights.front()), place.subject.weights.front());
  place.key = name_of(c);
}

}  // namespace

std::string name_of(const BenchmarkCase& c) {
  return fmt::format("{}/{}/m:{}/n:{}/k:{}/threads:{}", c.kernel->name, to_text(c.format), c.shape.m, c.shape.n,
                     c.shape.k, c.threads);
}

void measure(benchmark::State& state, const BenchmarkCase& c, Workplace& place) {
  const std::int64_t products = c.shape.m * c.shape.n * c.shape.k;
  if (c.kernel->reference && products > kReferenceProducts)
    return state.SkipWithError("a reference is not timed on so large a product");
  if (!includes(host_isa(), c.kernel->needs))
    return state.SkipWithError("this machine or its cap lacks the instructions");
  make_ready(c, place);
  if (!place.fault.empty()) return state.SkipWithError(place.fault.c_str());
  const Problem problem = problem_of(c, place);
  multiply(place.subject, problem, c.threads);
  for (auto _ : state) {
    multiply(place.subject, problem, c.threads);
    benchmark::ClobberMemory();
  }
  if (!c.kernel->peer && place.subject.y != place.proven)
    return state.SkipWithError("wrong result: the timed product differs from the proven one");
  using benchmark::Counter;
  const auto weight_bytes = double(place.subject.weights.front().bytes.size());
  state.counters["ops/s"] = Counter(2.0 * double(products), Counter::kIsIterationInvariantRate);
  state.counters["weight_B/s"] = Counter(weight_bytes, Counter::kIsIterationInvariantRate);
  state.SetLabel(c.shape.m == 1 ? "cold" : "hot");
}

}  // namespace qb
