// Everything about a run that does not depend on the data: types, constants, order, memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/integer_layer.h"

namespace qb {

/// Where a value of the graph comes from, and the type it has at this batch size.
struct PlannedValue {
  DType dtype = DType::f32;
  Shape shape;
  const Tensor* constant = nullptr;  ///< a weight, or folded when planning
  std::int64_t input = -1;           ///< position in graph.inputs
  std::int64_t slot = -1;            ///< index into ExecutionPlan::slots, once memory is assigned
  std::int64_t last_use = -1;        ///< the last step that reads it
  std::int64_t output = -1;          ///< first position in graph.outputs
  bool packed = false;               ///< a weight that only a kernel can read
};

/// One node to be executed. Missing inputs and outputs are -1.
struct PlannedStep {
  std::size_t node = 0;
  PlannedOp op;                               ///< unused for layers
  std::int64_t layer = -1;                    ///< index into ExecutionPlan::layers
  std::int64_t integer = -1;                  ///< index into ExecutionPlan::integers
  std::int64_t prepared = -1;                 ///< the input that kernels read in a form of their own
  std::vector<std::int64_t> inputs, outputs;  ///< values
};

struct ExecutionPlan {
  std::vector<PlannedValue> values;
  std::vector<PlannedStep> steps;
  std::vector<ProductLayer> layers;
  std::vector<IntegerLayer> integers;
  std::vector<std::unique_ptr<Tensor>> folded;  ///< constants computed when planning
  std::vector<std::int64_t> outputs;            ///< value of each graph output
  std::vector<Tensor> slots;                    ///< memory of values; the first outputs.size() belong to graph outputs
};

/// Infers all types at `options.batch`, prepares the layers and folds what is constant. Throws as Executor does.
ExecutionPlan plan_graph(const Model& model, const ExecutorOptions& options);

/// Gives every value its memory. Values of equal size share a slot when their lives do not overlap; with `overwrite`,
/// elementwise nodes write over an input that nobody reads later and reshaping nodes move nothing.
void assign_memory(ExecutionPlan& plan, bool overwrite);

}  // namespace qb
