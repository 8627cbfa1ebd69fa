#include "models/layer_edits.h"

#include <cmath>
#include <set>

#include "models/graph_edits.h"

namespace qb {

std::optional<std::vector<double>> bias_of(const Model& model, const Node& node, std::int64_t n) {
  if (node.op == "Gemm" && node.number_or("beta", 1.0f) != 1.0f) return std::nullopt;
  if (node.inputs.size() <= 2 || node.inputs[2].empty()) return std::vector<double>(std::size_t(n), 0.0);
  return constant_vector(model, node, 2, n);
}

namespace {

struct Affine {
  std::vector<double> factor, offset;  ///< y[c] = x[c] * factor[c] + offset[c]
};

std::optional<Affine> affine_of(const Model& model, const Node& norm, std::int64_t channels) {
  if (norm.op != "BatchNormalization" || norm.outputs.size() != 1 || norm.integer_or("training_mode", 0) != 0 ||
      norm.integer_or("spatial", 1) != 1)
    return std::nullopt;
  const auto gamma = constant_vector(model, norm, 1, channels), beta = constant_vector(model, norm, 2, channels);
  const auto mean = constant_vector(model, norm, 3, channels), variance = constant_vector(model, norm, 4, channels);
  if (!gamma || !beta || !mean || !variance) return std::nullopt;
  const double epsilon = norm.number_or("epsilon", 1e-5f);
  Affine affine;
  for (std::size_t c = 0; c < std::size_t(channels); ++c) {
    affine.factor.push_back((*gamma)[c] / std::sqrt((*variance)[c] + epsilon));
    affine.offset.push_back((*beta)[c] - (*mean)[c] * affine.factor[c]);
  }
  return affine;
}

/// Multiplies row i of the matrix by factor[i] in a new weight of the node's own, and gives the node its new bias.
bool absorb(Model& model, const MatrixWeight& use, const Affine& affine) {
  Node& node = model.graph.nodes[use.node];
  std::optional<std::vector<double>> bias = bias_of(model, node, use.n);
  if (!bias) return false;
  Tensor weight = to_f32(std::get<Tensor>(model.weights.find(use.weight)->second));
  const std::span<float> values = weight.as<float>();
  for (std::int64_t i = 0; i < use.n; ++i) {
    for (std::int64_t j = 0; j < use.k; ++j) {
      float& value = values[std::size_t(use.transposed ? j * use.n + i : i * use.k + j)];
      value = float(value * affine.factor[std::size_t(i)]);
    }
  }
  for (std::size_t i = 0; i < bias->size(); ++i) (*bias)[i] = (*bias)[i] * affine.factor[i] + affine.offset[i];
  node.inputs[1] = fresh_name(model, use.weight + ".folded");
  model.weights.emplace(node.inputs[1], std::move(weight));
  replace_constant(model, use.node, 2, *bias, node.inputs[1] + ".bias");
  return true;
}

}  // namespace

bool shift_results(Model& model, const MatrixWeight& layer, std::span<const double> shift) {
  QB_EXPECTS(std::ssize(shift) == layer.n);
  const Node& node = model.graph.nodes[layer.node];
  std::size_t target = layer.node, input = 2;
  std::optional<std::vector<double>> values;
  if (node.op == "MatMul") {
    const auto readers = sole_readers(model.graph);
    const auto reader = readers.find(node.outputs[0]);
    if (reader == readers.end() || !reader->second || model.graph.nodes[*reader->second].op != "Add") return false;
    target = *reader->second;
    input = model.graph.nodes[target].inputs[0] == node.outputs[0] ? 1 : 0;
    values = constant_vector(model, model.graph.nodes[target], input, layer.n);
  } else {
    values = bias_of(model, node, layer.n);
  }
  if (!values) return false;
  for (std::size_t i = 0; i < values->size(); ++i) (*values)[i] += shift[i];
  replace_constant(model, target, input, *values, layer.weight + ".shifted");
  drop_unread_weights(model);
  return true;
}

int fold_batch_norm(Model& model) {
  const auto readers = sole_readers(model.graph);
  std::set<std::size_t> folded;
  for (const MatrixWeight& use : matrix_uses(model)) {
    Node& node = model.graph.nodes[use.node];
    if (node.op == "MatMul" || !std::holds_alternative<Tensor>(model.weights.find(use.weight)->second)) continue;
    const auto reader = readers.find(node.outputs[0]);
    if (reader == readers.end() || !reader->second) continue;
    const Node& norm = model.graph.nodes[*reader->second];
    if (norm.inputs.empty() || norm.inputs[0] != node.outputs[0]) continue;
    const std::optional<Affine> affine = affine_of(model, norm, use.n);
    if (!affine || !absorb(model, use, *affine)) continue;
    node.outputs[0] = norm.outputs[0];
    folded.insert(*reader->second);
  }
  if (folded.empty()) return 0;
  std::vector<Node> kept;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
    if (!folded.contains(i)) kept.push_back(std::move(model.graph.nodes[i]));
  model.graph.nodes = std::move(kept);
  drop_unread_weights(model);
  return int(folded.size());
}

}  // namespace qb
