#include "kernels/bench/product_cell.h"

#include <algorithm>
#include <map>

namespace qb {

namespace {

/// Bytes per second of reading `runs` copies of the weights: copies that are half of all away from those that come
/// next, none of the last sixth before them, which a cache might still hold then, but in the same kind of memory. 0 for
/// weights of less than a page per thread.
double cold_read_rate(const Subject& subject, int threads, std::int64_t runs, std::size_t slice) {
  const std::vector<PreparedMatrix>& copies = subject.weights;
  const std::int64_t size = std::int64_t(copies.front().bytes.size()) / (4096 * threads) * 4096 * threads;
  if (size == 0) return 0;
  const std::size_t half = copies.size() / 2;
  const std::size_t distinct = std::max<std::size_t>(1, copies.size() - half - std::min(half, copies.size() / 6 + 1));
  double seconds = 0;
  for (std::int64_t i = 0; i < runs; ++i) {
    const std::size_t ahead = half + (slice * std::size_t(runs) + std::size_t(i)) % distinct;
    const Buffer& bytes = copies[(subject.next + ahead) % copies.size()].bytes;
    seconds += double(size) / read_rate_now(bytes.data(), size, threads);
  }
  return double(size * runs) / seconds;
}

}  // namespace

std::vector<TableRow> measure_product(const Bench& bench, const Problem& problem, const LayerShape& shape,
                                      const std::vector<int>& thread_counts,
                                      const std::vector<const PreparedMatrix*>& kernels) {
  std::map<const KernelInfo*, Expectation> expected;
  std::vector<Subject> subjects;
  const bool cold = shape.m == 1;
  for (const PreparedMatrix* weights : kernels) {
    const KernelInfo& reference = reference_of(*weights->kernel);
    if (!expected.contains(&reference)) expected.emplace(&reference, expected_of(reference, problem));
    subjects.push_back(
        {.kernel = weights->kernel,
         .weights = std::vector<PreparedMatrix>(cold ? copies_in(bench.cold_bytes, *weights) : 1, *weights),
         .y = std::vector<float>(std::size_t(shape.m * shape.n)),
         .scratch = {}});
  }
  std::vector<Candidate> candidates;
  for (Subject& subject : subjects) {
    Candidate candidate{.kernel = subject.kernel,
                        .bytes = std::int64_t(subject.weights.front().bytes.size()),
                        .cold = cold,
                        .arithmetic = arithmetic_of(*subject.kernel)};
    candidate.run = [&](int threads) { multiply(subject, problem, threads); };
    candidate.result = [&] { return std::as_bytes(std::span(subject.y)); };
    candidate.compare = [&] {
      return compare(*subject.kernel, problem, expected.at(&reference_of(*subject.kernel)), subject.y);
    };
    if (cold)
      candidate.read_rate = [&](int threads, std::int64_t runs, std::size_t slice) {
        return cold_read_rate(subject, threads, runs, slice);
      };
    candidates.push_back(std::move(candidate));
  }
  return measure_cell(bench, {problem.weights->format, problem.scaling.group}, shape, thread_counts, candidates);
}

}  // namespace qb
