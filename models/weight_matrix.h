// Which weights of a model are matrices that quantizers and kernels work on, and how they lie as [n, k].
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/graph.h"

namespace qb {

/// A Conv, Gemm or MatMul whose weight is a constant of the model.
///
/// Conv: n = output channels, k = input channels / groups * kernel area (C, then H, then W order).
/// Gemm: y = a * w' + bias with n = outputs, k = inputs, whatever transB says. MatMul [.., k] x [k, n].
struct MatrixWeight {
  std::size_t node = 0;  ///< index into graph.nodes
  std::string weight;    ///< name in model.weights
  std::int64_t n = 0, k = 0;
  std::int64_t groups = 1;  ///< Conv groups: rows [g*n/groups, (g+1)*n/groups) see their own inputs
  bool transposed = false;  ///< the tensor lies as [k, n]
};

/// In order of execution; a weight used by two nodes is listed for the first. Gemm with transA or alpha != 1 is not
/// listed. Neither is a weight that somebody reads in another role (a table of Gather, the matrix of both directions).
std::vector<MatrixWeight> matrix_weights(const Model& model);

/// The same for every node that uses such a weight: shared weights appear once per node.
std::vector<MatrixWeight> matrix_uses(const Model& model);

/// The float values of such a weight as rows [n, k] (copied, transposed where needed; packed weights are dequantized).
std::vector<float> matrix_values(const Model& model, const MatrixWeight& which);

/// Rows [n, k'] as a float32 tensor that lies as the layer's weight does. k' may differ from the weight's k: a whole
/// number of input channels, and as many of them as the rows have.
Tensor weight_tensor(const Model& model, const MatrixWeight& which, std::span<const float> rows);

}  // namespace qb
