#include "kernels/bench/cell.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/base/clock.h"

namespace qb {

namespace {

// A turn measures in slices and keeps their median: on a machine shared with others some slices lose the processor.
constexpr int kPeakSlices = 5;
constexpr double kPeakSliceSeconds = 0.0003;
constexpr int kMostSlices = 9;

/// One kernel in one cell.
struct Turn {
  TableRow row;
  Subject* subject = nullptr;
  int slices = 1;             ///< per turn
  std::int64_t products = 1;  ///< per slice
};

double median_of(std::vector<double> values) { return spread_of(std::move(values)).median; }

double seconds_of(Subject& subject, const Problem& problem, int threads, std::int64_t products) {
  const std::int64_t start = now_ns();
  for (std::int64_t i = 0; i < products; ++i) multiply(subject, problem, threads);
  return double(now_ns() - start) * 1e-9;
}

/// Proves the kernel on one thread and on `threads`.
Comparison prove(Subject& subject, const Problem& problem, const Expectation& expected, int threads) {
  multiply(subject, problem, 1);
  const std::vector<float> alone = subject.y;
  Comparison proof = compare(*subject.kernel, problem, expected, alone);
  if (threads == 1 || !proof.fault.empty()) return proof;
  multiply(subject, problem, threads);
  if (subject.kernel->peer) return compare(*subject.kernel, problem, expected, subject.y);
  if (subject.y != alone) proof.fault = "wrong result: the bits depend on the number of threads";
  return proof;
}

Turn make_turn(const Bench& bench, const Problem& problem, const LayerShape& shape, int threads, Subject& subject,
               const Expectation& expected) {
  Turn turn;
  turn.row.kernel = subject.kernel;
  turn.row.format = problem.weights->format;
  turn.row.shape = shape;
  turn.row.threads = threads;
  turn.row.weight_bytes = std::int64_t(subject.weights.front().bytes.size());
  turn.row.proof = prove(subject, problem, expected, threads);
  turn.subject = &subject;
  if (!turn.row.proof.fault.empty()) return turn;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 2; ++i) least = std::min(least, seconds_of(subject, problem, threads, 1));
  turn.slices = int(std::clamp<double>(std::ceil(bench.block_s / least), 1, kMostSlices));
  turn.products = std::max<std::int64_t>(1, std::int64_t(bench.block_s / turn.slices / least));
  return turn;
}

/// Bytes per second of reading as many copies of the weights as a slice has products: copies that are half of all away
/// from those, but in the same kind of memory. 0 for weights of less than a page per thread.
double cold_read_rate(const Turn& turn, std::size_t slice) {
  const std::vector<PreparedMatrix>& copies = turn.subject->weights;
  const int threads = turn.row.threads;
  const std::int64_t size = turn.row.weight_bytes / (4096 * threads) * 4096 * threads;
  if (size == 0) return 0;
  double seconds = 0;
  for (std::int64_t i = 0; i < turn.products; ++i) {
    const std::size_t ahead = copies.size() / 2 + slice * std::size_t(turn.products) + std::size_t(i);
    const Buffer& bytes = copies[(turn.subject->next + ahead) % copies.size()].bytes;
    seconds += double(size) / read_rate_now(bytes.data(), size, threads);
  }
  return double(size * turn.products) / seconds;
}

double arithmetic_rate(Limit limit, int threads) {
  std::vector<double> rates;
  for (int i = 0; i < kPeakSlices; ++i) rates.push_back(compute_rate_now(limit, threads, kPeakSliceSeconds));
  return median_of(std::move(rates));
}

/// The limit's loop, then directly the products. The first round decides what limits a cold product.
void take_turn(Turn& turn, const Problem& problem) {
  TableRow& row = turn.row;
  const bool cold = row.shape.m == 1, first = row.time_ns.empty();
  if (!cold && turn.slices > 1) multiply(*turn.subject, problem, row.threads);  // others have used the caches since
  if (first) row.limit = arithmetic_of(*row.kernel);
  double rate = arithmetic_rate(arithmetic_of(*row.kernel), row.threads);
  double least_s = operations(row.shape) / rate;
  if (cold && (first || row.limit == Limit::read)) {
    std::vector<double> reads;
    for (int i = 0; i < turn.slices; ++i) reads.push_back(cold_read_rate(turn, std::size_t(i)));
    const double read = median_of(std::move(reads)), read_s = double(row.weight_bytes) / read;
    if (read > 0 && (!first || !(read_s < least_s))) {
      row.limit = Limit::read;
      rate = read;
      least_s = read_s;
    }
  }
  std::vector<double> times;
  for (int i = 0; i < turn.slices; ++i)
    times.push_back(seconds_of(*turn.subject, problem, row.threads, turn.products) / double(turn.products));
  const double took = median_of(std::move(times));
  row.time_ns.push_back(took * 1e9);
  row.limit_rate.push_back(rate);
  row.limit_share.push_back(least_s / took);
}

/// The fastest peer that reads the same kind of activations; null when there is none.
const TableRow* best_peer(const std::vector<Turn>& turns, Activations activations) {
  const TableRow* best = nullptr;
  for (const Turn& turn : turns) {
    const TableRow& row = turn.row;
    if (!row.kernel->peer || row.kernel->activations != activations || row.time_ns.empty()) continue;
    if (best == nullptr || spread_of(row.time_ns).median < spread_of(best->time_ns).median) best = &row;
  }
  return best;
}

void compare_with_peers(std::vector<Turn>& turns) {
  for (Turn& turn : turns) {
    const TableRow* best = best_peer(turns, turn.row.kernel->activations);
    if (best == nullptr || turn.row.time_ns.empty()) continue;
    turn.row.best_peer = best->kernel;
    for (std::size_t i = 0; i < turn.row.time_ns.size(); ++i)
      turn.row.peer_ratio.push_back(best->time_ns[i] / turn.row.time_ns[i]);
  }
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.empty() || std::ranges::any_of(values, [](double value) { return std::isnan(value); }))
    return {kNone, kNone, kNone};
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  // The largest reach r for which 2 P(Binomial(n, 1/2) <= r) is at most 5 %; the interval is x[r + 1] to x[n - r].
  double probability = std::pow(0.5, double(n)), tail = 0;
  std::size_t cut = 0;
  for (std::size_t r = 0; r < n / 2; ++r) {
    tail += probability;
    if (2 * tail > 0.05) break;
    cut = r;
    probability *= double(n - r) / double(r + 1);
  }
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values[cut], values[n - 1 - cut]};
}

double operations(const LayerShape& shape) { return 2.0 * double(shape.m) * double(shape.n) * double(shape.k); }

std::vector<TableRow> measure_product(const Bench& bench, const Problem& problem, const LayerShape& shape,
                                      const std::vector<int>& thread_counts,
                                      const std::vector<const PreparedMatrix*>& kernels) {
  std::map<const KernelInfo*, Expectation> expected;
  std::vector<Subject> subjects;
  for (const PreparedMatrix* weights : kernels) {
    const KernelInfo& reference = reference_of(*weights->kernel);
    if (!expected.contains(&reference)) expected.emplace(&reference, expected_of(reference, problem));
    Subject subject{
        .kernel = weights->kernel,
        .weights = std::vector<PreparedMatrix>(shape.m == 1 ? copies_in(bench.cold_bytes, *weights) : 1, *weights),
        .y = std::vector<float>(std::size_t(shape.m * shape.n)),
        .scratch = {}};
    subjects.push_back(std::move(subject));
  }
  std::vector<TableRow> rows;
  for (const int threads : thread_counts) {
    std::vector<Turn> turns;
    for (Subject& subject : subjects)
      turns.push_back(make_turn(bench, problem, shape, threads, subject, expected.at(&reference_of(*subject.kernel))));
    for (int round = 0; round < bench.rounds; ++round)
      for (std::size_t i = 0; i < turns.size(); ++i) {
        Turn& turn = turns[(i + std::size_t(round)) % turns.size()];
        if (turn.row.proof.fault.empty()) take_turn(turn, problem);
      }
    compare_with_peers(turns);
    for (Turn& turn : turns) rows.push_back(std::move(turn.row));
  }
  return rows;
}

}  // namespace qb
