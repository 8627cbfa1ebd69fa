// A network on its way from an ONNX file to a Model. Internal to models/import.
//
// Nodes pass one by one, in the order of the file, through normalise() and fold(): by then every value they read is
// known to be an input, a constant (in model.weights) or the output of an earlier node.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "models/graph.h"

namespace qb {

struct OnnxDraft {
  std::string where;  ///< begins every message
  int opset = 0;
  Model model;                               ///< weights are all Tensors
  std::set<std::string, std::less<>> taken;  ///< names of values that exist or will exist
  std::set<std::string, std::less<>> node_names;
  std::set<std::string, std::less<>> batched;             ///< values whose first extent is the batch
  std::map<std::string, std::string, std::less<>> alias;  ///< value that a removed node passed on -> what it passed on
  std::uint64_t fold_budget = 0;                          ///< bytes that folding may still make

  [[noreturn]] void fail(const Node& node, std::string_view fault) const;  ///< DataError naming the node
  const Tensor* constant(std::string_view name) const;                     ///< null when the value is not a constant
  /// Adds a constant and returns its name, which begins with the node's.
  std::string add_constant(const Node& node, std::string_view what, Tensor value);
};

/// Brings attributes and inputs to the forms of opset 21, for operators whose form moved since opset 7: attributes that
/// became inputs, training outputs, and axes that were implied. Reshape targets follow the batch; casts to double
/// become casts to float32.
///
/// Softmax, LogSoftmax and Hardmax keep the meaning of their opset (before 13: over all extents from `axis` on), which
/// Graph::opset tells; their axis is written out.
void normalise(OnnxDraft& draft, Node& node);

/// Whether a node in its final form has a result of half precision, which the graph goes on with as float32.
bool gives_half(const Node& node);

/// True when the node is gone: it passed its input on, or all it reads is constant and so its outputs are now.
bool fold(OnnxDraft& draft, const Node& node);

/// Whether the first extent of the node's outputs is the batch, given that of its inputs.
bool keeps_batch(const OnnxDraft& draft, const Node& node);

}  // namespace qb
