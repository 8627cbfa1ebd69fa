#include "models/weight_matrix.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace qb {

namespace {

constexpr std::size_t kWeightInput = 1;

bool is_float(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

std::int64_t product(const Shape& shape, std::size_t from) {
  std::int64_t result = 1;
  for (std::size_t i = from; i < shape.size(); ++i) result *= shape[i];
  return result;
}

/// How `node` would use its second input as a matrix, if at all.
std::optional<MatrixWeight> matrix_use(const Model& model, std::size_t index) {
  const Node& node = model.graph.nodes[index];
  const bool conv = node.op == "Conv", gemm = node.op == "Gemm", matmul = node.op == "MatMul";
  if (!(conv || gemm || matmul) || node.inputs.size() <= kWeightInput) return std::nullopt;
  const auto found = model.weights.find(node.inputs[kWeightInput]);
  if (found == model.weights.end() || node.inputs[0] == found->first) return std::nullopt;
  if (gemm && (node.integer_or("transA", 0) != 0 || node.number_or("alpha", 1.0f) != 1.0f)) return std::nullopt;

  MatrixWeight use{index, found->first, 0, 0, conv ? node.integer_or("group", 1) : 1, false};
  if (const auto* packed = std::get_if<PackedMatrix>(&found->second)) {
    use.n = packed->n;
    use.k = packed->k;
  } else {
    const Tensor& tensor = std::get<Tensor>(found->second);
    const bool fits = conv ? tensor.rank() == 3 || tensor.rank() == 4 : tensor.rank() == 2;
    if (!fits || !is_float(tensor.dtype)) return std::nullopt;
    use.transposed = matmul || (gemm && node.integer_or("transB", 0) == 0);
    use.n = tensor.shape[use.transposed ? 1 : 0];
    use.k = use.transposed ? tensor.shape[0] : product(tensor.shape, 1);
  }
  if (use.n < 1 || use.k < 1 || use.groups < 1 || use.n % use.groups != 0) return std::nullopt;
  return use;
}

}  // namespace

std::vector<MatrixWeight> matrix_uses(const Model& model) {
  std::vector<MatrixWeight> uses;
  std::map<std::string, MatrixWeight> first;
  std::set<std::string> refused(model.graph.outputs.begin(), model.graph.outputs.end());
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const std::optional<MatrixWeight> use = matrix_use(model, i);
    const std::vector<std::string>& inputs = model.graph.nodes[i].inputs;
    for (std::size_t input = 0; input < inputs.size(); ++input)
      if (!use || input != kWeightInput) refused.insert(inputs[input]);
    if (!use) continue;
    const MatrixWeight& known = first.try_emplace(use->weight, *use).first->second;
    if (known.transposed != use->transposed || known.groups != use->groups) refused.insert(use->weight);
    uses.push_back(*use);
  }
  std::erase_if(uses, [&](const MatrixWeight& use) { return refused.contains(use.weight); });
  return uses;
}

std::vector<MatrixWeight> matrix_weights(const Model& model) {
  std::vector<MatrixWeight> weights = matrix_uses(model);
  std::set<std::string> seen;
  std::erase_if(weights, [&](const MatrixWeight& use) { return !seen.insert(use.weight).second; });
  return weights;
}

std::vector<float> matrix_values(const Model& model, const MatrixWeight& which) {
  const auto found = model.weights.find(which.weight);
  QB_EXPECTS(found != model.weights.end());
  if (const auto* packed = std::get_if<PackedMatrix>(&found->second)) return dequantize(*packed);
  const Tensor tensor = to_f32(std::get<Tensor>(found->second));
  const std::span<const float> values = tensor.as<float>();
  QB_EXPECTS(std::ssize(values) == which.n * which.k);
  std::vector<float> rows(values.begin(), values.end());
  if (which.transposed) {
    for (std::int64_t i = 0; i < which.n; ++i)
      for (std::int64_t j = 0; j < which.k; ++j)
        rows[std::size_t(i * which.k + j)] = values[std::size_t(j * which.n + i)];
  }
  return rows;
}

namespace {

/// Who reads each value: the only reading node, or nothing when there are none, several, or the graph itself.
std::map<std::string, std::optional<std::size_t>> sole_readers(const Graph& graph) {
  std::map<std::string, std::optional<std::size_t>> readers;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& input : graph.nodes[i].inputs) {
      const auto [entry, is_new] = readers.try_emplace(input, i);
      if (!is_new) entry->second.reset();
    }
  }
  for (const std::string& output : graph.outputs) readers[output].reset();
  return readers;
}

/// The constant float tensor of n elements, the last axis n long, that a node reads at `input`, as float64.
std::optional<std::vector<double>> constant_vector(const Model& model, const Node& node, std::size_t input,
                                                   std::int64_t n) {
  if (input >= node.inputs.size()) return std::nullopt;
  const auto found = model.weights.find(node.inputs[input]);
  if (found == model.weights.end()) return std::nullopt;
  const Tensor* tensor = std::get_if<Tensor>(&found->second);
  if (!tensor || !is_float(tensor->dtype) || tensor->size() != n || tensor->rank() < 1 || tensor->shape.back() != n)
    return std::nullopt;
  const Tensor values = to_f32(*tensor);
  return std::vector<double>(values.as<float>().begin(), values.as<float>().end());
}

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

std::string fresh_name(const Model& model, std::string name) {
  while (model.weights.contains(name)) name += "'";
  return name;
}

/// The bias of a Conv or Gemm, zeros where it has none; nothing where it is no constant with one value per row.
std::optional<std::vector<double>> bias_of(const Model& model, const Node& node, std::int64_t n) {
  if (node.op == "Gemm" && node.number_or("beta", 1.0f) != 1.0f) return std::nullopt;
  if (node.inputs.size() <= 2 || node.inputs[2].empty()) return std::vector<double>(std::size_t(n), 0.0);
  return constant_vector(model, node, 2, n);
}

/// Gives a node's input a constant of its own, with the shape of the one that it replaces.
void replace_input(Model& model, Node& node, std::size_t input, const std::vector<double>& values, std::string name) {
  Shape shape = {std::ssize(values)};
  if (input < node.inputs.size())
    if (const auto old = model.weights.find(node.inputs[input]); old != model.weights.end())
      shape = std::get<Tensor>(old->second).shape;
  Tensor tensor(DType::f32, shape);
  std::ranges::transform(values, tensor.as<float>().begin(), [](double value) { return float(value); });
  if (node.inputs.size() <= input) node.inputs.resize(input + 1);
  node.inputs[input] = fresh_name(model, std::move(name));
  model.weights.emplace(node.inputs[input], std::move(tensor));
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
  replace_input(model, node, 2, *bias, node.inputs[1] + ".bias");
  return true;
}

void drop_unread_weights(Model& model) {
  std::set<std::string> read(model.graph.outputs.begin(), model.graph.outputs.end());
  for (const Node& node : model.graph.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  std::erase_if(model.weights, [&](const auto& entry) { return !read.contains(entry.first); });
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
  replace_input(model, model.graph.nodes[target], input, *values, layer.weight + ".shifted");
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
