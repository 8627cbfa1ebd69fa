// All kernels of one cell of the table measured together, in interleaved rounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/bench/product_format.h"
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

/// One line of the table: one kernel on one shape. Vectors hold one value per round, in order.
struct TableRow {
  const KernelInfo* kernel = nullptr;
  ProductFormat format;
  LayerShape shape;
  int threads = 1;
  std::int64_t bytes = 0;           ///< that must be read, or read and written: of the prepared weights, of planes
  bool cold = false;                ///< whether they are in no cache
  Comparison proof;                 ///< a fault, and no times, when the result was wrong
  Limit limit = Limit::s8;          ///< what the shares are of
  std::vector<double> time_ns;      ///< of one run
  std::vector<double> limit_rate;   ///< operations or bytes per second, measured right before each time
  std::vector<double> limit_share;  ///< of that rate
  const KernelInfo* best_peer = nullptr;  ///< with equal activations, the least median time; null without peers
  std::vector<double> peer_ratio;  ///< its time over this kernel's, round by round; above 1: faster than the peer
};

double operations(const LayerShape& shape);  ///< 2 per multiply-add of the unpadded problem

/// How a table is measured.
struct Bench {
  int rounds = 9;               ///< >= 1
  double block_s = 0.004;       ///< a turn's runs take about this long, or are one
  std::int64_t cold_bytes = 0;  ///< that the copies of weights have together, for one row
};

/// One kernel of a cell with operands that are ready. The functions refer to things that outlive measure_cell().
struct Candidate {
  const KernelInfo* kernel = nullptr;
  std::int64_t bytes = 0;  ///< as TableRow::bytes
  bool cold = false;
  Limit arithmetic = Limit::s8;               ///< what is multiplied
  std::function<void(int threads)> run = {};  ///< once; allocates nothing once warm
  std::function<std::span<const std::byte>()> result = {};
  std::function<Comparison()> compare = {};  ///< the last result with the reference's
  /// Bytes per second of reading memory that is as near as what `runs` further runs touch, for the part `slice` of a
  /// turn; 0 where it is too little to be timed. Empty: reading is no limit.
  std::function<double(int threads, std::int64_t runs, std::size_t slice)> read_rate = {};
};

/// Measures all candidates on one shape and format for each number of threads.
///
/// Each kernel is proven first; a result of several threads must have the bits of one (peers: compare with the
/// reference). Then rounds: in each, every kernel has its turn, beginning with another kernel each round; a turn runs
/// the loop that gives its limit, and directly after it the kernel, each in up to nine slices of which the median
/// counts, without those that took more than 4/3 of what the fastest quarter takes. The limit is arithmetic where there
/// is any, or reading where that is one and takes longer.
std::vector<TableRow> measure_cell(const Bench& bench, const ProductFormat& format, const LayerShape& shape,
                                   const std::vector<int>& thread_counts, const std::vector<Candidate>& candidates);

}  // namespace qb
