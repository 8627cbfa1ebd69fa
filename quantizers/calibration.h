// What flows into each weighted node, watched over calibration samples, and the fixed range that follows from it.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "models/graph.h"
#include "models/weight_matrix.h"
#include "quantizers/quant_spec.h"
#include "quantizers/range_search.h"

namespace qb {

/// Counts, extremes and magnitudes of a stream of values.
///
/// Bins are 2^exponent wide with the least exponent for which kBins of them hold every value seen. Widths are powers of
/// two, so that growing folds pairs of bins exactly: shards of a stream merge to the statistics of the whole, in any
/// order. Between half of the bins and all of them are in use. Exact zeros are counted apart.
struct ValueStatistics {
  static constexpr int kBins = 4096;
  static constexpr int kNoExponent = INT32_MIN;  ///< before the first value other than zero

  std::uint64_t count = 0, zeros = 0, not_finite = 0;  ///< count includes zeros, and leaves out what is not finite
  float low = 0, high = 0;                             ///< of the finite values; 0 before the first
  int exponent = kNoExponent;
  std::vector<std::uint64_t> negative,
      positive;  ///< [kBins] by magnitude; empty before the first value other than zero
};

void add_values(ValueStatistics& statistics, std::span<const float> values);
void merge(ValueStatistics& into, const ValueStatistics& from);

Histogram negative_side(const ValueStatistics& statistics);
Histogram positive_side(const ValueStatistics& statistics);
Histogram magnitudes(const ValueStatistics& statistics, bool with_zeros);  ///< both sides; zeros in bin 0 if asked for

/// Extremes as an exponential average over batches, beginning with the first batch. Depends on the order of batches.
/// Source: the update of Jacob et al. 2018 (arXiv:1712.05877), section 3.1, without its bias towards a start value.
struct MovingRange {
  double low = 0, high = 0;
  std::uint64_t batches = 0;
};
void add_batch(MovingRange& range, std::span<const float> batch, double rate);

struct ActivationStatistics {
  ValueStatistics values;
  MovingRange average;
};

/// Runs `samples` [count, ...] through the float model (sample_runs.h: its batches are those of MovingRange) and
/// watches the first input of every given layer; one entry each. `rate` is that of add_batch. Throws DataError for an
/// empty set, for samples of another shape than the model's input, and for inputs of a layer that are not finite,
/// naming the node.
std::vector<ActivationStatistics> observe_activations(const Model& model, std::span<const MatrixWeight> layers,
                                                      const Tensor& samples, double rate, int threads,
                                                      const std::function<void(std::string_view)>& progress);

/// The fixed range that the activation options of `spec` choose (options.h), as scale and zero point.
///
/// asym=0: a clip of |x|, and the grid of RowScaling's symmetric codes. asym=1: both ends; minmax, average, percentile
/// (half of the rest beyond each end) and mse look at both sides; kl takes the clip of |x| with 2^(bits-1) levels, or
/// 2^bits where no value is negative, and never reaches beyond what was seen.
///
/// act=aciq (around the mean, the prior with the lesser squared error), octav, entropy (of codes less the relative
/// squared error), kl-modelopt, kl-paddleslim, kl-mxnet and kl-ort (kl_variants.h): both ends at once, within what was
/// seen; the symmetric grid takes the farther one. Codes of one more bit serve values of one sign where asym=1.
ActivationQuant choose_activation(const ActivationStatistics& seen, const QuantSpec& spec);

}  // namespace qb
