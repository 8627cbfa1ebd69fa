// Dividing the channels that enter a layer by factors and multiplying its weights by them: the identity on which
// SmoothQuant, AWQ and cross-layer equalization rest.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/weight_matrix.h"

namespace qb {

/// Where factors of channels can be absorbed: constants with one value per channel that are added or multiplied before
/// the layer reads them, and, unless these are a normalization's, the layer whose rows make the channels.
struct ChannelSource {
  struct Constant {
    std::size_t node = 0, input = 0;
  };
  std::vector<Constant> constants;
  std::optional<MatrixWeight> layer;
  std::int64_t axes_after = 0;  ///< of the channels' axis: 2 for planes
};

/// The channels that enter a layer whose weight is float and read by nobody else. Column j of a weight row in group g
/// reads channel g * channels / groups + j / columns.
struct InputChannels {
  MatrixWeight layer;
  std::int64_t channels = 0;
  std::int64_t columns = 1;             ///< per channel: a kernel's area, or the positions of a flattened plane
  std::int64_t axes_after = 0;          ///< of the channels' axis in the layer's input
  std::optional<ChannelSource> source;  ///< only where nobody else reads what it makes
};
std::optional<InputChannels> input_channels(const Model& model, const MatrixWeight& layer);

/// The channel that column j of weight row i reads.
inline std::int64_t channel_of(const InputChannels& input, std::int64_t row, std::int64_t column) {
  const std::int64_t groups = input.layer.groups, group = row / (input.layer.n / groups);
  return group * (input.channels / groups) + column / input.columns;
}

/// Largest magnitude of the weights that read each channel: [channels].
std::vector<double> largest_weights(const Model& model, const InputChannels& input);

/// Multiplies the weights that read channel c by factor[c] > 0 and divides the channel by it: in its source where there
/// is one, else in a Mul that goes before the layer. Names stay; indices of nodes behind the Mul move by one. Returns
/// whether the source took it.
bool scale_channels(Model& model, const InputChannels& input, std::span<const double> factor);

}  // namespace qb
