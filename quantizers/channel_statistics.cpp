#include "quantizers/channel_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "quantizers/sample_runs.h"

namespace qb {
namespace {

struct Seen {
  ChannelStatistics of;
  std::int64_t values = 0;  ///< per channel
};

/// Adds a layer's input [rows, .., channels * columns], or [batch, channels, plane...].
void add_values(const InputChannels& input, const Tensor& tensor, Seen& seen) {
  std::int64_t plane = 1;
  for (std::int64_t axis = 0; axis < input.axes_after; ++axis)
    plane *= tensor.shape[tensor.shape.size() - 1 - std::size_t(axis)];
  const std::int64_t run = input.axes_after > 0 ? plane : input.columns;
  const std::span<const float> values = tensor.as<float>();
  for (std::size_t at = 0, channel = 0; at < values.size(); at += std::size_t(run)) {
    double largest = seen.of.largest[channel], sum = 0;
    for (const float value : values.subspan(at, std::size_t(run))) {
      largest = std::max(largest, std::abs(double(value)));
      sum += std::abs(double(value));
    }
    seen.of.largest[channel] = largest;
    seen.of.mean[channel] += sum;
    channel = channel + 1 == std::size_t(input.channels) ? 0 : channel + 1;
  }
  seen.values += std::ssize(values) / input.channels;
}

}  // namespace

std::vector<ChannelStatistics> observe_channels(const Model& model, std::span<const InputChannels> inputs,
                                                const Tensor& samples, int threads) {
  std::vector<Seen> seen(inputs.size());
  std::map<std::size_t, std::size_t> by_node;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    seen[i].of.largest.assign(std::size_t(inputs[i].channels), 0.0);
    seen[i].of.mean.assign(std::size_t(inputs[i].channels), 0.0);
    by_node.emplace(inputs[i].layer.node, i);
  }
  run_samples(model, samples, threads, [&](const Executor&) {
    ExecutorObserver observer;
    observer.before = [&](const NodeEvent& event) {
      const auto found = by_node.find(event.node);
      if (found != by_node.end()) add_values(inputs[found->second], *event.inputs[0], seen[found->second]);
    };
    return observer;
  });
  std::vector<ChannelStatistics> out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (double& sum : seen[i].of.mean) {
      sum /= double(std::max<std::int64_t>(seen[i].values, 1));
      if (!std::isfinite(sum))
        throw DataError(fmt::format("node '{}': some of its inputs are not finite on the calibration samples",
                                    model.graph.nodes[inputs[i].layer.node].name));
    }
    out.push_back(std::move(seen[i].of));
  }
  return out;
}

}  // namespace qb
