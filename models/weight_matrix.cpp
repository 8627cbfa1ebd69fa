#include "models/weight_matrix.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "models/graph_edits.h"

namespace qb {

namespace {

constexpr std::size_t kWeightInput = 1;

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

Tensor weight_tensor(const Model& model, const MatrixWeight& which, std::span<const float> rows) {
  Shape shape = std::get<Tensor>(model.weights.find(which.weight)->second).shape;
  const std::int64_t k = std::ssize(rows) / which.n;
  if (shape.size() == 2)
    shape[which.transposed ? 0 : 1] = k;
  else
    shape[1] = k / product(shape, 2);
  Tensor tensor(DType::f32, shape);
  const std::span<float> values = tensor.as<float>();
  QB_EXPECTS(values.size() == rows.size());
  for (std::int64_t i = 0; i < which.n; ++i)
    for (std::int64_t j = 0; j < k; ++j)
      values[std::size_t(which.transposed ? j * which.n + i : i * k + j)] = rows[std::size_t(i * k + j)];
  return tensor;
}

}  // namespace qb
