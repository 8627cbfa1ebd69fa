#include "kernels/bench/cell.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/clock.h"

namespace qb {

namespace {

// A turn measures in slices: on a machine shared with others some lose the processor.
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

/// The median of the slices that took no more than 4/3 of what the fastest quarter takes: others have lost the
/// processor. A quarter, because one slice may also be fast by chance.
double median_time(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  const double usual = seconds[seconds.size() / 4];
  std::erase_if(seconds, [&](double one) { return one > usual * 4 / 3; });
  return spread_of(std::move(seconds)).median;
}

/// Likewise of rates; 0 where one is.
double median_rate(const std::vector<double>& rates) {
  std::vector<double> seconds;
  for (const double rate : rates) seconds.push_back(1 / rate);
  return 1 / median_time(std::move(seconds));
}

double seconds_of(const Candidate& what, int threads, std::int64_t runs) {
  const std::int64_t start = now_ns();
  for (std::int64_t i = 0; i < runs; ++i) what.run(threads);
  return double(now_ns() - start) * 1e-9;
}

/// What a candidate gives on one thread.
struct Alone {
  std::vector<std::byte> result;
  Comparison proof;
  double seconds = 0;  ///< of the first run
};

Alone run_alone(const Candidate& what) {
  Alone alone;
  alone.seconds = seconds_of(what, 1, 1);
  alone.result.assign(what.result().begin(), what.result().end());
  alone.proof = what.compare();
  return alone;
}

/// How a turn is divided, for a run that takes about `seconds`. What takes long is not run again to know it better.
void divide(const Bench& bench, double seconds, Turn& turn) {
  constexpr double kLong = 10;  // blocks
  for (int i = 0; i < 2 && seconds < kLong * bench.block_s; ++i)
    seconds = std::min(seconds, seconds_of(*turn.what, turn.row.threads, 1));
  turn.slices = int(std::clamp<double>(std::ceil(bench.block_s / seconds), 1, kMostSlices));
  turn.runs = std::max<std::int64_t>(1, std::int64_t(bench.block_s / turn.slices / seconds));
}

Turn make_turn(const Bench& bench, const ProductFormat& format, const LayerShape& shape, int threads,
               const Candidate& what, const Alone& alone) {
  Turn turn;
  turn.row.kernel = what.kernel;
  turn.row.format = format;
  turn.row.shape = shape;
  turn.row.threads = threads;
  turn.row.bytes = what.bytes;
  turn.row.cold = what.cold;
  turn.row.proof = alone.proof;
  turn.what = &what;
  double seconds = alone.seconds;
  if (threads > 1 && alone.proof.fault.empty()) {
    seconds = seconds_of(what, threads, 1);
    if (what.kernel->peer)
      turn.row.proof = what.compare();
    else if (!std::ranges::equal(what.result(), alone.result))
      turn.row.proof.fault = "wrong result: the bits depend on the number of threads";
  }
  if (turn.row.proof.fault.empty()) divide(bench, seconds, turn);
  return turn;
}

double arithmetic_rate(Limit limit, int threads) {
  std::vector<double> rates;
  for (int i = 0; i < kPeakSlices; ++i) rates.push_back(compute_rate_now(limit, threads, kPeakSliceSeconds));
  return median_rate(rates);
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
    const double read = median_rate(reads), read_s = double(row.bytes) / read;
    if (read > 0 && (!first || !(read_s < least_s))) {
      row.limit = Limit::read;
      rate = read;
      least_s = read_s;
    }
  }
  std::vector<double> times;
  for (int i = 0; i < turn.slices; ++i) times.push_back(seconds_of(what, row.threads, turn.runs) / double(turn.runs));
  const double took = median_time(std::move(times));
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

double operations(const LayerShape& shape) {
  if (shape.work == Work::attention) return 2.0 * double(shape.n) * shape.heads.seen();
  return 2.0 * double(shape.m) * double(shape.n) * double(shape.k);
}

std::vector<TableRow> measure_cell(const Bench& bench, const ProductFormat& format, const LayerShape& shape,
                                   const std::vector<int>& thread_counts, const std::vector<Candidate>& candidates) {
  std::vector<TableRow> rows;
  std::vector<Alone> alone;
  for (const Candidate& what : candidates) alone.push_back(run_alone(what));
  for (const int threads : thread_counts) {
    std::vector<Turn> turns;
    for (std::size_t i = 0; i < candidates.size(); ++i)
      turns.push_back(make_turn(bench, format, shape, threads, candidates[i], alone[i]));
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
