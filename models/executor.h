// Runs a model: chooses a kernel for each weighted node once, then executes nodes in order.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/depthwise.h"
#include "models/graph.h"
#include "models/weight_matrix.h"

namespace qb {

struct ExecutorOptions {
  Isa isa = host_isa();         ///< cap in force; never more than host_isa()
  std::string kernel = "best";  ///< "best", "reference" or a kernel's name (registry.h)
  int threads = 1;
  std::int64_t batch = 1;  ///< rows of every input of run(); outputs do not depend on it
};

/// A weighted node as it will be executed.
struct ExecutorLayer {
  MatrixWeight where;
  std::string node_name, op;
  const KernelInfo* kernel = nullptr;
  const PackedMatrix* packed = nullptr;      ///< canonical weights (float weights too, as f32)
  const PreparedMatrix* prepared = nullptr;  ///< of the first group of a grouped convolution
  /// Where observers see rows of products in the order of channels_last() of `packed`
  /// (kernels/convolution/weight_order.h): its channels, else 0.
  std::int64_t channels_last = 0;
};

/// Called around every node, on the caller's thread, for calibration, error per layer and time shares. While such an
/// observer is set, no node writes over its inputs. Nodes whose result is known before the first run are not seen.
struct NodeEvent {
  std::size_t node = 0;  ///< index into graph.nodes
  const Node* what = nullptr;
  std::span<const Tensor* const> inputs;   ///< null where not given
  std::span<const Tensor* const> outputs;  ///< empty before execution
};
/// Called after every product of a weighted node, with the operands that the kernel read and the result it wrote
/// (kernels/convolution/convolution.h: what is shown of windows that are read in place).
struct GemmEvent {
  std::size_t layer = 0;                      ///< index into layers()
  std::int64_t row_begin = 0, row_count = 0;  ///< rows of the layer's [n, k] used (a group of a grouped convolution)
  const PreparedMatrix* weights = nullptr;
  const GemmCall* call = nullptr;
};
/// Called after a depthwise convolution, likewise.
struct DepthwiseEvent {
  std::size_t layer = 0;
  const PreparedMatrix* weights = nullptr;
  const DepthwiseCall* call = nullptr;
};
struct ExecutorObserver {
  std::function<void(const NodeEvent&)> before = {}, after = {};
  std::function<void(const GemmEvent&)> product = {};
  std::function<void(const DepthwiseEvent&)> depthwise = {};
};

/// One model, one choice of kernels, one batch size. Not copyable; run() is not reentrant.
class Executor {
 public:
  /// Keeps a reference to `model`. Throws Unsupported, naming node and format, when no kernel computes a layer;
  /// DataError, naming the node, for an operator that is not known or shapes that do not fit.
  Executor(const Model& model, const ExecutorOptions& options);
  Executor(Model&& model, const ExecutorOptions& options) = delete;  ///< the model must outlive its executor
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Inputs in the order of graph.inputs, each with `batch` rows; returns the graph's first output [batch, ...] as
  /// float32, valid until the next call.
  const Tensor& run(std::span<const Tensor> inputs);
  const Tensor& run(const Tensor& input);
  /// All outputs of the last run(), in the order of graph.outputs.
  std::span<const Tensor> outputs() const;

  void observe(ExecutorObserver observer);  ///< replaces the last one; an empty observer costs nothing

  std::span<const ExecutorLayer> layers() const;
  std::int64_t prepared_bytes() const;                            ///< of all layouts derived from packed weights
  std::int64_t scratch_bytes() const;                             ///< activations and workspaces, after the first run
  std::vector<std::span<const std::byte>> weight_memory() const;  ///< what a cold run must not find in a cache

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Names of all operators, sorted; the nearest is offered when an import meets another one.
std::vector<std::string> operator_names();

}  // namespace qb
