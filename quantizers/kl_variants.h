// Clips by Kullback-Leibler divergence as other programs choose them, quirks included: for comparisons with what they
// publish. kl_clip() of range_search.h is the one to use.
//
// All of them compare a histogram, cut at a candidate with its outliers folded into the last bin, with a coarse form on
// so many levels, and differ in where candidates begin, in how bins are grouped, in what becomes of empty bins and in
// ties. Source: Migacz, 8-bit inference with TensorRT, GTC 2017; the programs are named at each function.
#pragma once
#include <cstdint>
#include <vector>

#include "quantizers/range_search.h"

namespace qb {

/// Counts of values in equal bins over [-limit, limit].
struct CentredHistogram {
  double limit = 0;
  std::vector<std::uint64_t> counts;

  double width() const { return 2 * limit / double(counts.size()); }
  double edge(std::size_t i) const { return -limit + double(i) * width(); }  ///< the left one of bin i
};

/// Counts of magnitudes (and of both signs with exact zeros) in `bins` equal bins up to `peak`, from finer ones: each
/// goes where its centre lies, so that an edge is off by at most half a fine bin.
Histogram rebinned(const Histogram& magnitudes, double peak, std::size_t bins);
CentredHistogram rebinned(const Histogram& negative, const Histogram& positive, std::uint64_t zeros, double peak,
                          std::size_t bins);

/// NVIDIA Model Optimizer and pytorch-quantization: magnitudes in 2048 bins, bin 0 replaced by bin 1, candidates from
/// 128 bins on, bin j in group floor(j * levels / candidate), no smoothing, the last of equal minima. levels 2^(b-1).
double kl_clip_modelopt(const Histogram& magnitudes, int levels, double peak);

/// PaddleSlim: magnitudes in 2048 bins, candidates from half of them on, none whose last bin is empty, groups of equal
/// size with the rest in the last; the middle of the bin behind the cut. levels 2^(b-1) - 1.
double kl_clip_paddleslim(const Histogram& magnitudes, int levels, double peak);

/// Apache MXNet: both signs in 8001 bins and 255 levels. The last bin never gets a share of its group, and 1e-4 moves
/// from every full bin to empty ones.
double kl_clip_mxnet(const CentredHistogram& values, int levels);

/// ONNX Runtime: both signs; 128 bins and 128 levels unless somebody asks for more bins, which leaves one candidate,
/// the full range. Shares are cut to integers, and bins beyond levels * group get none. Both ends of the chosen range,
/// which differ by a bin where the number of bins is even.
Range kl_range_ort(const CentredHistogram& values, int levels);

}  // namespace qb
