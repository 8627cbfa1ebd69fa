// ConvInteger, MatMulInteger, QLinearConv and QLinearMatMul with constant weights, computed by kernels.
//
// Kernels give a sum of integers as float32, which holds every integer up to 2^24. Weights are known, so that the
// largest sum that any codes could give is, too; where it is greater the inputs are divided into pieces whose sums stay
// below, and the pieces' integers are added. The bits are those of the plain loops of op_integer.cpp.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/executor_layer.h"
#include "models/integer_result.h"

namespace qb {

/// Which inputs of a node are what. Scales and results are read by IntegerResult.
struct IntegerInputs {
  std::size_t x = 0, x_zero = 2, w = 1, w_zero = 3;
};
/// Nothing for nodes that are none of the four operators.
std::optional<IntegerInputs> integer_inputs(const Node& node);

/// One such node. Its pieces are neighbouring ProductLayers of the plan, hence rows of Executor::layers().
struct IntegerLayer {
  IntegerInputs inputs;
  std::size_t first = 0;                ///< of its pieces
  std::vector<std::int64_t> begin;      ///< input channels (of each group) or columns of x at which pieces begin
  std::optional<ConvShape> conv;        ///< of the whole node; else a product:
  std::int64_t rows = 0, k = 0, n = 0;  ///< x [rows, k], w [k, n]
  std::int64_t wave = 1;                ///< samples that a convolution does at once; divides the batch
  bool by_values = false;               ///< kernels read the codes' real values: depthwise() takes no codes
  IntegerResult result;
};

/// Prepares the pieces of a node that plan_operator() accepts, and appends them to `layers`. Nothing where plain loops
/// must do: weights or their zero points that are no constants, weights of more than two axes in a matrix product, more
/// than one zero point of x, and sums of one input channel beyond 2^24. Throws Unsupported as Executor does.
std::optional<IntegerLayer> plan_integer_layer(const OpSite& site, std::size_t node, const ExecutorOptions& options,
                                               std::vector<ProductLayer>& layers);

/// Memory for all integer layers; grows to the largest and stays.
struct IntegerWorkspace {
  Buffer codes, results, sums;
  std::vector<Buffer> threads;
  std::int64_t bytes() const;
};

/// The observer sees every kernel call, as with run_layer().
void run_integer_layer(IntegerLayer& layer, std::span<ProductLayer> pieces, const OpRun& run,
                       LayerWorkspaces& workspaces, IntegerWorkspace& own, const ExecutorObserver& observer);

}  // namespace qb
