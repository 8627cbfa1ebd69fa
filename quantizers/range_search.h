// Choosing the range of a grid: what is clipped is lost, what is kept makes every step coarser.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quantizers/grid.h"

namespace qb {

/// Counts of values in equal bins: bin i holds values in [i * width, (i + 1) * width), i from 0. width > 0.
struct Histogram {
  double width = 1;
  std::vector<std::uint64_t> counts;
};

/// The p-th percentile of values in rising order, linear between neighbours. 0 <= percent <= 100; values not empty.
double percentile(std::span<const float> sorted, double percent);

/// The left edge of the first bin below whose right edge lie more than `percent` of all values; `peak` when there is
/// none. Low by less than one bin. Percentages are decimal fractions, so that a rank within 1e-9 of its target counts
/// as met.
double percentile_clip(const Histogram& magnitudes, double percent, double peak);

/// The clip absmax * i / 100, i = 1..100, of the symmetric grid whose sum of |error|^norm is least; the lowest on ties.
/// i = 100 is the min-max grid, hence the result is never worse than that one. Source: quantizers.md, section 2.4; the
/// exponent 2.4 for weights is that of Frantar et al., arXiv:2210.17323 (their code).
double mse_clip(std::span<const float> values, int bits, double norm);

/// As mse_clip for the asymmetric grid: both ends of the range shrink together, then each alone.
Range mse_range(std::span<const float> values, int bits, double norm);

/// As above from counts, with each bin at its centre. `range` is that of all values; a side's histogram holds their
/// magnitudes, exact zeros left out.
double mse_clip(const Histogram& magnitudes, double peak, int bits, double norm = 2);
Range mse_range(const Histogram& negative, const Histogram& positive, Range range, int bits, double norm = 2);

/// Sum of |error|^norm of the counted values on a grid.
double total_error(const Histogram& negative, const Histogram& positive, const Grid& grid, double norm = 2);

/// The clip with the least Kullback-Leibler divergence between the clipped distribution and its coarse form on `levels`
/// groups of bins; the first on ties. `peak` when the histogram has no more bins than levels.
///
/// Counts of bin 0 are replaced by those of bin 1, because exact zeros (ReLU) would dominate. The coarse form takes its
/// mass from the unclipped counts, so that both forms differ in the last bin on purpose.
/// Source: Migacz, 8-bit inference with TensorRT, GTC 2017, in the variant of quantizers.md, section 2.5.
double kl_clip(const Histogram& magnitudes, int levels, double peak);

}  // namespace qb
