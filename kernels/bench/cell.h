// All kernels of one product measured together, in interleaved rounds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/bench/shapes.h"
#include "kernels/bench/subject.h"

namespace qb {

/// A median and its interval between order statistics; NaN for no values.
struct Spread {
  double median = 0, low = 0, high = 0;
};

/// The interval covers the true median with at least 95 % whatever the distribution; below 6 values it is the range.
/// Source: Hahn and Meeker, Statistical Intervals (1991), chapter 5.
Spread spread_of(std::vector<double> values);

/// One line of the table: one kernel on one product. Vectors hold one value per round, in order.
struct TableRow {
  const KernelInfo* kernel = nullptr;
  QuantFormat format;
  LayerShape shape;
  int threads = 1;
  std::int64_t weight_bytes = 0;          ///< prepared
  Comparison proof;                       ///< a fault, and no times, when the result was wrong
  Limit limit = Limit::s8;                ///< what the shares are of
  std::vector<double> time_ns;            ///< of one product
  std::vector<double> limit_rate;         ///< operations or bytes per second, measured right before each time
  std::vector<double> limit_share;        ///< of that rate
  const KernelInfo* best_peer = nullptr;  ///< with equal activations, the least median time; null without peers
  std::vector<double> peer_ratio;  ///< its time over this kernel's, round by round; above 1: faster than the peer
};

double operations(const LayerShape& shape);  ///< 2 per multiply-add of the unpadded problem

/// How a table is measured.
struct Bench {
  int rounds = 11;              ///< >= 1
  double block_s = 0.004;       ///< a turn's products take about this long, or are one
  std::int64_t cold_bytes = 0;  ///< that the copies of weights have together, for one row
};

/// Measures all of `kernels` on one product, y [m, n] = a * transpose(weights) with m = shape.m, for each number of
/// threads.
///
/// Each kernel is proven first; a result of several threads must have the bits of one (peers: within their bound). Then
/// rounds: in each, every kernel has its turn, beginning with another kernel each round; a turn runs the loop that
/// gives its limit, and directly after it products, each in up to nine slices of which the median counts. With one row
/// the weights are cold and the limit is reading them, or arithmetic where that takes longer; with more rows the
/// weights are hot and the limit is arithmetic.
std::vector<TableRow> measure_product(const Bench& bench, const Problem& problem, const LayerShape& shape,
                                      const std::vector<int>& thread_counts,
                                      const std::vector<const PreparedMatrix*>& kernels);

}  // namespace qb
