// How large the inputs of a layer are, channel by channel.
#pragma once
#include <span>
#include <vector>

#include "models/channel_scaling.h"

namespace qb {

struct ChannelStatistics {
  std::vector<double> largest;  ///< magnitude seen: [channels]
  std::vector<double> mean;     ///< magnitude: [channels]
};

/// Runs `samples` [count, ...] through the float model; one entry per input. Throws DataError for an empty set and,
/// naming the node, for inputs that are not finite. Results do not depend on `threads`.
std::vector<ChannelStatistics> observe_channels(const Model& model, std::span<const InputChannels> inputs,
                                                const Tensor& samples, int threads);

}  // namespace qb
