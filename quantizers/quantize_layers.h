// All layers of one model, each by its own spec.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "quantizers/quantizer.h"

namespace qb {

struct LayerWork {
  const Model& model;  ///< float
  const QuantSpec& spec;
  const Tensor& calibration;
  int threads = 1;
  const std::function<void(std::string_view)>& progress;
};

/// What becomes of the layers, one entry per report.
struct QuantizedLayers {
  std::vector<PackedMatrix> packed;        ///< without rows for those that stay float
  std::vector<std::vector<double>> shift;  ///< of the layer's results, where biases are to take up the mean error
};

/// Quantizes the layers of `reports` without a reason against it and completes their reports. A layer whose shape the
/// method cannot store stays float and gets that reason. Errors as quantize_model().
QuantizedLayers quantize_layers(const LayerWork& work, std::vector<LayerReport>& reports);

}  // namespace qb
