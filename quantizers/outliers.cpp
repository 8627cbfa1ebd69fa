// Computes the channels of a layer's input that hold outliers in float, and quantizes the others without them. Source:
// Dettmers et al. 2022, LLM.int8() (arXiv:2208.07339), section 3.2, with the channels fixed by calibration.
#include <fmt/format.h>

#include "models/graph_edits.h"
#include "quantizers/channel_statistics.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"

namespace qb {
namespace {

/// The rows' columns of these channels.
std::vector<float> pick_columns(std::span<const float> rows, const LayerInput& input,
                                std::span<const std::int64_t> channels) {
  std::vector<float> picked;
  for (std::int64_t row = 0; row < input.layer.n; ++row)
    for (const std::int64_t channel : channels) {
      const float* first = rows.data() + row * input.layer.k + channel * input.columns;
      picked.insert(picked.end(), first, first + input.columns);
    }
  return picked;
}

Tensor indices(std::span<const std::int64_t> channels) {
  Tensor tensor(DType::i64, {std::ssize(channels)});
  std::ranges::copy(channels, tensor.as<std::int64_t>().begin());
  return tensor;
}

/// The layer reads `kept`; a float one beside it reads `apart`; their results are added.
PreparedLayer split(Model& model, const LayerInput& input, std::span<const std::int64_t> kept,
                    std::span<const std::int64_t> apart) {
  const std::vector<float> rows = matrix_values(model, input.layer);
  Tensor beside = weight_tensor(model, input.layer, pick_columns(rows, input, apart));
  model.weights.insert_or_assign(input.layer.weight,
                                 weight_tensor(model, input.layer, pick_columns(rows, input, kept)));
  Node& layer = model.graph.nodes[input.layer.node];
  Node other = layer;
  other.name = fresh_name(model, layer.name + ".outliers");
  other.inputs = {layer.inputs[0], fresh_name(model, input.layer.weight + ".outliers")};
  other.outputs = {fresh_name(model, other.name + ".value")};
  Node sum;
  sum.name = fresh_name(model, layer.name + ".sum");
  sum.op = "Add";
  sum.outputs = layer.outputs;
  layer.outputs = {fresh_name(model, layer.name + ".others")};
  sum.inputs = {layer.outputs[0], other.outputs[0]};
  PreparedLayer made{other.inputs[1], fmt::format("outliers of '{}'", layer.name), true};
  model.weights.emplace(other.inputs[1], std::move(beside));
  const auto after = model.graph.nodes.begin() + std::ptrdiff_t(input.layer.node) + 1;
  model.graph.nodes.insert(after, {std::move(other), std::move(sum)});
  insert_on_input(model, input.layer.node + 1, "Gather", {{"axis", input.axis}}, indices(apart));
  insert_on_input(model, input.layer.node, "Gather", {{"axis", input.axis}}, indices(kept));
  return made;
}

}  // namespace

std::vector<PreparedLayer> split_outliers(Model& model, const PreparationContext& context) {
  std::vector<InputChannels> inputs = scalable_layers(model, context);
  for (InputChannels& input : inputs) {  // each column of a dense layer for itself, wherever it comes from
    input.channels *= input.axes_after == 0 ? input.columns : 1;
    input.columns = input.axes_after == 0 ? 1 : input.columns;
  }
  const std::vector<ChannelStatistics> seen = observe_channels(model, inputs, context.calibration, context.threads);
  const double threshold = number_of(context.spec, "threshold");
  std::vector<PreparedLayer> done;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string& weight = inputs[i].layer.weight;
    std::vector<std::int64_t> kept, apart;
    for (std::int64_t c = 0; c < inputs[i].channels; ++c)
      (seen[i].largest[std::size_t(c)] >= threshold ? apart : kept).push_back(c);
    if (apart.empty()) continue;
    if (inputs[i].layer.groups > 1 || kept.empty()) {
      done.push_back({weight, inputs[i].layer.groups > 1 ? "outliers stay in the layer, whose channels are in groups"
                                                         : "outliers stay in the layer, they are in all channels"});
      continue;
    }
    done.push_back({weight, fmt::format("{} of {} channels computed in float", apart.size(), inputs[i].channels)});
    done.push_back(split(model, layer_input(model, weight), kept, apart));
  }
  return done;
}

}  // namespace qb
