// One graph, forward and backward, over a fixed number of samples.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/graph.h"
#include "models/import.h"
#include "quantizers/training/layers.h"

namespace qb {

/// Keeps every value of the last forward pass, and returns the gradient of every parameter.
///
/// Values have `rows` samples. Nodes may share values; gradients of a shared value add up in reverse order of the
/// nodes. Not reentrant: threads use tapes of their own. Keeps a reference to `graph`.
class Tape {
 public:
  /// `parameters` gives names and shapes of the graph's weights (float32). Throws DataError, naming the node, for an
  /// operator or shape that cannot be trained.
  Tape(const Graph& graph, const TensorMap& parameters, std::int64_t rows);

  /// The graph's first output for `rows` samples; `samples` holds the graph input's elements, row after row.
  const Tensor& forward(const TensorMap& parameters, std::span<const float> samples);

  /// Adds to `gradients` (the names and shapes of `parameters`) the gradient of the loss whose derivative by the output
  /// of the last forward() is `output_gradient`.
  void backward(const TensorMap& parameters, std::span<const float> output_gradient, TensorMap& gradients);

  std::int64_t rows() const { return rows_; }

 private:
  struct Step {
    const Node* node;
    const TrainingOp* op;
    std::vector<std::string> inputs;  ///< without trailing empty names
  };
  std::vector<const Tensor*> operands(const Step& step, const TensorMap& parameters) const;

  const Graph& graph_;
  std::int64_t rows_;
  std::vector<Step> steps_;
  TensorMap values_, value_gradients_;  ///< by value name; the graph's input has no gradient
  LayerScratch scratch_;
};

/// Zeroed tensors with the names and shapes of `like`.
TensorMap zeros_like(const TensorMap& like);

}  // namespace qb
