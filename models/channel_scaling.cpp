#include "models/channel_scaling.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/graph_edits.h"
#include "models/layer_edits.h"

namespace qb {
namespace {

/// Operators that commute with a positive factor on each channel and leave channels where they are.
constexpr std::array<std::string_view, 7> kTransparent = {"Relu",    "LeakyRelu",   "Identity",         "Dropout",
                                                          "MaxPool", "AveragePool", "GlobalAveragePool"};

bool is_only_use(const Model& model, const MatrixWeight& layer) {
  const std::vector<MatrixWeight> uses = matrix_uses(model);
  return std::ranges::count(uses, layer.weight, &MatrixWeight::weight) == 1 &&
         std::holds_alternative<Tensor>(model.weights.find(layer.weight)->second);
}

/// Whether a node makes rows [batch, k] of everything that a sample holds, in its order.
bool flattens(const Model& model, const Node& node, std::int64_t k) {
  if (node.op == "Flatten") return node.integer_or("axis", 1) == 1;
  if (node.op != "Reshape" || node.inputs.size() < 2) return false;
  const auto shape = model.weights.find(node.inputs[1]);
  if (shape == model.weights.end()) return false;
  const Tensor* tensor = std::get_if<Tensor>(&shape->second);
  if (tensor == nullptr || tensor->dtype != DType::i64 || tensor->size() != 2) return false;
  const std::int64_t last = tensor->as<std::int64_t>()[1];
  return last == k || last == -1;
}

/// Follows a layer's input back to where its channels are made.
class SourceSearch {
 public:
  SourceSearch(const Model& model, const InputChannels& input)
      : model_(model), readers_(sole_readers(model.graph)), input_(input) {}

  /// The source, and what the channels are when it is reached (flattening makes several columns of one).
  std::optional<InputChannels> run() {
    std::size_t at = input_.layer.node;
    std::string value = model_.graph.nodes[at].inputs[0];
    source_.axes_after = input_.axes_after;
    for (;;) {
      const auto reader = readers_.find(value);
      if (reader == readers_.end() || reader->second != at) return std::nullopt;
      const std::optional<std::size_t> maker = maker_of(model_.graph, value);
      if (!maker) return std::nullopt;
      const Node& node = model_.graph.nodes[*maker];
      if (const auto layer = layer_at(*maker)) return ends_at(*layer);
      if (ends_at_norm(node, *maker)) return input_;
      const std::optional<std::size_t> next = passes_through(node, *maker);
      if (!next) return std::nullopt;
      value = node.inputs[*next];
      at = *maker;
    }
  }

 private:
  std::optional<MatrixWeight> layer_at(std::size_t node) const {
    for (const MatrixWeight& use : matrix_uses(model_))
      if (use.node == node) return use;
    return std::nullopt;
  }

  /// Channels become as many as the source makes, if they can.
  bool takes(std::int64_t made, std::int64_t axes_after) {
    if (axes_after != source_.axes_after && !flattened_) return false;
    if (flattened_) {
      if (input_.channels % made != 0) return false;
      input_.columns = input_.channels / made;
      input_.channels = made;
      source_.axes_after = axes_after;
    }
    if (input_.channels != made) return false;
    return std::ranges::all_of(source_.constants, [&](const ChannelSource::Constant& constant) {
      return constant_vector(model_, model_.graph.nodes[constant.node], constant.input, made, axes_after).has_value();
    });
  }

  std::optional<InputChannels> ends_at(const MatrixWeight& layer) {
    const Node& node = model_.graph.nodes[layer.node];
    std::int64_t axes_after = 0;
    if (node.op == "Conv")
      axes_after = std::int64_t(std::get<Tensor>(model_.weights.find(layer.weight)->second).rank()) - 2;
    if (!is_only_use(model_, layer) || !takes(layer.n, axes_after)) return std::nullopt;
    if (node.op != "MatMul" && !bias_of(model_, node, layer.n)) return std::nullopt;
    source_.layer = layer;
    input_.source = source_;
    return input_;
  }

  /// LayerNormalization over the last axis, and a product with a constant per channel, as ends of RMS normalizations.
  bool ends_at_norm(const Node& node, std::size_t index) {
    if (flattened_ || source_.axes_after != 0) return false;
    if (node.op == "LayerNormalization" && node.integer_or("axis", -1) == -1) {
      source_.constants.push_back({index, 1});
      if (node.inputs.size() > 2 && !node.inputs[2].empty()) source_.constants.push_back({index, 2});
    } else if (node.op == "Mul" && node.inputs.size() == 2) {
      source_.constants.push_back({index, model_.weights.contains(node.inputs[0]) ? 0u : 1u});
    } else {
      return false;
    }
    if (!takes(input_.channels, 0)) return false;
    input_.source = source_;
    return true;
  }

  /// The input behind which the channels come from, for nodes that factors pass.
  std::optional<std::size_t> passes_through(const Node& node, std::size_t index) {
    if (std::ranges::find(kTransparent, node.op) != kTransparent.end()) return 0;
    if (!flattened_ && source_.axes_after == 0 && flattens(model_, node, input_.channels)) {
      flattened_ = true;
      return source_.constants.empty() ? std::optional<std::size_t>(0) : std::nullopt;
    }
    if (node.op == "Add" && node.inputs.size() == 2) {
      const bool first = model_.weights.contains(node.inputs[0]), second = model_.weights.contains(node.inputs[1]);
      if (first == second) return std::nullopt;
      source_.constants.push_back({index, first ? 0u : 1u});
      return first ? 1 : 0;
    }
    return std::nullopt;
  }

  const Model& model_;
  const std::map<std::string, std::optional<std::size_t>> readers_;
  InputChannels input_;
  ChannelSource source_;
  bool flattened_ = false;
};

/// Calls change(row, column, value) for every weight of a float layer, in place.
template <class Change>
void change_weights(Model& model, const MatrixWeight& layer, const Change& change) {
  std::vector<float> rows = matrix_values(model, layer);
  for (std::int64_t i = 0; i < layer.n; ++i)
    for (std::int64_t j = 0; j < layer.k; ++j) change(i, j, rows[std::size_t(i * layer.k + j)]);
  model.weights.insert_or_assign(layer.weight, weight_tensor(model, layer, rows));
}

void divide(std::vector<double>& values, std::span<const double> factor) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] /= factor[i];
}

void divide_source(Model& model, const ChannelSource& source, std::span<const double> factor) {
  for (const ChannelSource::Constant& at : source.constants) {
    const Node& node = model.graph.nodes[at.node];
    std::vector<double> values = constant_vector(model, node, at.input, std::ssize(factor), source.axes_after).value();
    divide(values, factor);
    replace_constant(model, at.node, at.input, values, node.inputs[at.input] + ".scaled");
  }
  if (source.layer) {
    change_weights(model, *source.layer, [&](std::int64_t row, std::int64_t, float& value) {
      value = float(double(value) / factor[std::size_t(row)]);
    });
    const Node& node = model.graph.nodes[source.layer->node];
    if (node.op != "MatMul" && node.inputs.size() > 2 && !node.inputs[2].empty()) {
      std::vector<double> bias = bias_of(model, node, source.layer->n).value();
      divide(bias, factor);
      replace_constant(model, source.layer->node, 2, bias, node.inputs[2] + ".scaled");
    }
  }
  drop_unread_weights(model);
}

void insert_division(Model& model, const InputChannels& input, std::span<const double> factor) {
  Shape shape(std::size_t(1 + input.axes_after), 1);
  shape[0] = input.channels;
  Tensor reciprocal(DType::f32, shape);
  std::ranges::transform(factor, reciprocal.as<float>().begin(), [](double value) { return float(1 / value); });
  insert_on_input(model, input.layer.node, "Mul", {}, std::move(reciprocal));
}

}  // namespace

std::optional<InputChannels> input_channels(const Model& model, const MatrixWeight& layer) {
  if (!is_only_use(model, layer)) return std::nullopt;
  InputChannels input;
  input.layer = layer;
  input.channels = layer.groups * layer.k;
  if (model.graph.nodes[layer.node].op == "Conv") {
    const Shape& shape = std::get<Tensor>(model.weights.find(layer.weight)->second).shape;
    input.channels = layer.groups * shape[1];
    input.columns = layer.k / shape[1];
    input.axes_after = std::ssize(shape) - 2;
  }
  const std::optional<InputChannels> with_source = SourceSearch(model, input).run();
  return with_source ? with_source : input;
}

std::vector<double> largest_weights(const Model& model, const InputChannels& input) {
  const std::vector<float> values = matrix_values(model, input.layer);
  std::vector<double> largest(std::size_t(input.channels), 0.0);
  for (std::int64_t i = 0; i < input.layer.n; ++i)
    for (std::int64_t j = 0; j < input.layer.k; ++j) {
      double& most = largest[std::size_t(channel_of(input, i, j))];
      most = std::max(most, std::abs(double(values[std::size_t(i * input.layer.k + j)])));
    }
  return largest;
}

bool scale_channels(Model& model, const InputChannels& input, std::span<const double> factor) {
  QB_EXPECTS(std::ssize(factor) == input.channels);
  QB_EXPECTS(std::ranges::all_of(factor, [](double value) { return std::isfinite(value) && value > 0; }));
  change_weights(model, input.layer, [&](std::int64_t row, std::int64_t column, float& value) {
    value = float(double(value) * factor[std::size_t(channel_of(input, row, column))]);
  });
  if (input.source)
    divide_source(model, *input.source, factor);
  else
    insert_division(model, input, factor);
  return input.source.has_value();
}

}  // namespace qb
