// What flows into each layer once the layers before it are quantized, and what the layer should make of it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quantizers/layer_inputs.h"
#include "quantizers/staged_run.h"

namespace qb {

/// Calibration samples through a model whose layers become quantized one after another. Layers stand in order of
/// execution; samples run on from layer to layer, so that all of them together cost about two runs of the model (four
/// with the float model's beside them). Activations stay float, whatever the spec says of them.
class QuantizedInputs {
 public:
  /// Keeps references to `model`, which is float, and `samples`. With `beside`, the same samples run through the float
  /// model too. Throws DataError for an empty set. `kept_bytes` bounds what is kept between layers (staged_run.h), for
  /// each of the two.
  QuantizedInputs(const Model& model, const Tensor& samples, bool beside, int threads,
                  std::int64_t kept_bytes = StagedRun::kKeptBytes);
  QuantizedInputs(const QuantizedInputs&) = delete;

  struct Seen {
    LayerInputs inputs;  ///< of the partly quantized model
    /// With `beside`: by group, [k, k] sums of d[i] * y[j] and [k] sums of d[i], where y are the layer's inputs in the
    /// partly quantized model and y + d those in the float one.
    std::vector<std::vector<double>> drift, drift_sums;
  };
  /// Throws DataError, naming the node, for inputs that are not finite.
  Seen at(const MatrixWeight& layer);

  /// From here on the layer has these weights [n, k], and its results are shifted (nothing: are not).
  void replace(const MatrixWeight& layer, std::span<const float> weights, std::span<const double> shift);

 private:
  Model partly_;
  int threads_;
  StagedRun partly_run_;
  std::optional<StagedRun> float_run_;
};

/// The weights V [n, k] whose results from the quantized inputs are nearest to those of `weights` from the float ones:
/// the least sum of squares of W x - V y over all samples, plus `damp` times the mean of E[y[i]^2] times the squared
/// difference of V and W. Channels that are always 0 keep their weights.
std::vector<float> asymmetric_targets(std::span<const float> weights, std::int64_t n, std::int64_t k,
                                      const QuantizedInputs::Seen& seen, double damp);

/// What `others` take from the mean of each result, by row: W E[x] - V E[y], where x is y without float inputs beside.
std::vector<double> mean_change(const QuantizedInputs::Seen& seen, std::span<const float> weights,
                                std::span<const float> others, std::int64_t n, std::int64_t k);

}  // namespace qb
