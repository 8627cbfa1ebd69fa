// The operators that can be trained: shape, value, gradient. One row per operator.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/tensor.h"
#include "models/graph.h"

namespace qb {

/// Memory that a tape lends to its layers, so that a step allocates nothing once it has grown.
struct LayerScratch {
  std::vector<float> first, second, third;
};

/// One node with its float32 operands, in the order of Node::inputs.
struct LayerCall {
  const Node& node;
  std::span<const Tensor* const> inputs;
  LayerScratch& scratch;
};

/// An operator with ONNX's name and meaning, for images [rows, channels, height, width] and matrices [rows, features].
/// Sums run in a fixed order, so that equal operands give equal bits on every machine. Single-threaded and reentrant.
struct TrainingOp {
  std::string_view op;

  /// The output's shape. Throws DataError, naming the node, for operands or attributes that cannot be trained.
  Shape (*shape)(const Node& node, std::span<const Shape> inputs);

  /// Writes every element of `output`.
  void (*forward)(const LayerCall& call, Tensor& output);

  /// Adds to each gradient that is not null what `output_gradient` causes in that input.
  void (*backward)(const LayerCall& call, const Tensor& output, const Tensor& output_gradient,
                   std::span<Tensor* const> input_gradients);
};

/// Conv, Flatten, Gemm, MaxPool, Relu.
std::span<const TrainingOp> training_ops();

/// Throws DataError naming the node, and the operators that can be trained.
const TrainingOp& training_op(const Node& node);

}  // namespace qb
