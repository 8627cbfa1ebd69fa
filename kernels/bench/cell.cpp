#include "kernels/bench/cell.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/clock.h"

namespace qb {

namespace {

// A turn measures in slices and keeps their median: on a machine shared with others some slices lose the processor.
constexpr int kPeakSlices = 5;
constexpr double kPeakSliceSeconds = 0.0003;
constexpr int kMostSlices = 9;

/// One candidate on one number of threads.
struct Turn {
  TableRow row;
  const Candidate* what = nullptr;
  int slices = 1;         ///< per turn
  std::int64_t runs = 1;  ///< per slice
};

double median_of(std::vector<double> values) { return spread_of(std::move(values)).median; }

double seconds_of(const Candidate& what, int threads, std::int64_t runs) {
  const std::int64_t start = now_ns();
  for (std::int64_t i = 0; i < runs; ++i) what.run(threads);
  return double(now_ns() - start) * 1e-9;
}

/// Proves the kernel on one thread and on `threads`.
Comparison prove(const Candidate& what, int threads) {
  what.run(1);
  const std::vector<std::byte> alone(what.result().begin(), what.result().end());
  Comparison proof = what.compare();
  if (threads == 1 || !proof.fault.empty()) return proof;
  what.run(threads);
  if (what.kernel->peer) return what.compare();
  if (!std::ranges::equal(what.result(), alone)) proof.fault = "wrong result: the bits depend on the number of threads";
  return proof;
}

Turn make_turn(const Bench& bench, const QuantFormat& format, const LayerShape& shape, int threads,
               const Candidate& what) {
  Turn turn;
  turn.row.kernel = what.kernel;
  turn.row.format = format;
  turn.row.shape = shape;
  turn.row.threads = threads;
  turn.row.bytes = what.bytes;
  turn.row.cold = what.cold;
  turn.row.proof = prove(what, threads);
  turn.what = &what;
  if (!turn.row.proof.fault.empty()) return turn;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 2; ++i) least = std::min(least, seconds_of(what, threads, 1));
  turn.slices = int(std::clamp<double>(std::ceil(bench.block_s / least), 1, kMostSlices));
  turn.runs = std::max<std::int64_t>(1, std::int64_t(bench.block_s / turn.slices / least));
  return turn;
}

double arithmetic_rate(Limit limit, int threads) {
  std::vector<double> rates;
  for (int i = 0; i < kPeakSlices; ++i) rates.push_back(compute_rate_now(limit, threads, kPeakSliceSeconds));
  return median_of(std::move(rates));
}

/// The limit's loop, then directly the kernel. The first round decides what the limit is.
void take_turn(Turn& turn) {
  TableRow& row = turn.row;
  const Candidate& what = *turn.what;
  const bool first = row.time_ns.empty();
  if (!what.cold && turn.slices > 1) what.run(row.threads);  // others have used the caches since
  if (first) row.limit = what.arithmetic;
  const double work = operations(row.shape);
  double rate = work > 0 ? arithmetic_rate(what.arithmetic, row.threads) : std::numeric_limits<double>::quiet_NaN();
  double least_s = work / rate;
  if (what.read_rate && (first || row.limit == Limit::read)) {
    std::vector<double> reads;
    for (int i = 0; i < turn.slices; ++i) reads.push_back(what.read_rate(row.threads, turn.runs, std::size_t(i)));
    const double read = median_of(std::move(reads)), read_s = double(row.bytes) / read;
    if (read > 0 && (!first || !(read_s < least_s))) {
      row.limit = Limit::read;
      rate = read;
      least_s = read_s;
    }
  }
  std::vector<double> times;
  for (int i = 0; i < turn.slices; ++i) times.push_back(seconds_of(what, row.threads, turn.runs) / double(turn.runs));
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

std::vector<TableRow> measure_cell(const Bench& bench, const QuantFormat& format, const LayerShape& shape,
                                   const std::vector<int>& thread_counts, const std::vector<Candidate>& candidates) {
  std::vector<TableRow> rows;
  for (const int threads : thread_counts) {
    std::vector<Turn> turns;
    for (const Candidate& what : candidates) turns.push_back(make_turn(bench, format, shape, threads, what));
    for (int round = 0; round < bench.rounds; ++round)
      for (std::size_t i = 0; i < turns.size(); ++i) {
        Turn& turn = turns[(i + std::size_t(round)) % turns.size()];
        if (turn.row.proof.fault.empty()) take_turn(turn);
      }
    compare_with_peers(turns);
    for (Turn& turn : turns) rows.push_back(std::move(turn.row));
  }
  return rows;
}

}  // namespace qb
