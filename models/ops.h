// The operator table: what an ONNX operator needs to be planned once and run often.
//
// Adding an operator: write its plan function in the op_<group>.cpp it belongs to and add one row to the table at the
// end of that file. A plan function checks the node, computes the types of the outputs, and returns the function that
// fills them; everything that can be decided before the data is there is decided in it.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/tensor.h"
#include "models/graph.h"

namespace qb {

/// An input as far as it is known before the graph runs.
struct OpInput {
  bool given = false;
  DType dtype = DType::f32;
  Shape shape;
  const Tensor* constant = nullptr;  ///< its values, where they do not depend on the data
};

struct OpOutput {
  DType dtype = DType::f32;
  Shape shape;
};

/// One node to be planned. Faults are DataErrors that begin with "node 'name' (Op): ".
struct OpSite {
  const Node* node = nullptr;
  int opset = 21;
  std::vector<OpInput> inputs;  ///< at least as many as the operator can have; missing ones are not given

  bool has(std::size_t input) const { return inputs[input].given; }
  const Shape& shape(std::size_t input) const { return inputs[input].shape; }
  DType dtype(std::size_t input) const { return inputs[input].dtype; }

  /// The elements of an integer input that must be known before the graph runs.
  std::vector<std::int64_t> constant_integers(std::size_t input) const;
  /// Axes (or the like) from an input in newer opsets or an attribute in older ones; nothing when neither is given.
  std::optional<std::vector<std::int64_t>> integers(std::size_t input, std::string_view attribute) const;
  /// An axis in [-rank, rank) as one in [0, rank); one past the end only with `end` = 1.
  std::size_t axis(std::int64_t axis, std::int64_t rank, std::int64_t end = 0) const;
  std::vector<std::size_t> axes(const std::vector<std::int64_t>& axes, std::int64_t rank) const;
  void expect(bool condition, std::string_view fault) const;
  void expect_dtype(std::size_t input, DType wanted) const;
  [[noreturn]] void fail(std::string_view fault) const;
};

/// Inputs and outputs of one execution; outputs have the planned types, missing inputs and outputs are null.
struct OpRun {
  std::span<const Tensor* const> inputs;
  std::span<Tensor* const> outputs;
  int threads = 1;
  Isa isa = Isa::none;  ///< that kernels without weights may use; none: their references
};

/// A node ready to run. `run` takes shapes from planning, never from its arguments, allocates nothing that it could
/// have allocated when planned (a loop goes to parallel_for as std::cref, since a std::function that owns it would
/// allocate), and may keep no state between calls that changes a result.
struct PlannedOp {
  std::vector<OpOutput> outputs;
  std::function<void(const OpRun&)> run;
  std::uint32_t overwrites = 0;  ///< bit i: output 0 may lie in the memory of input i
  bool reshapes = false;         ///< output 0 has the bytes of input 0; run copies them when they lie elsewhere
  std::function<std::int64_t()> workspace_bytes = {};  ///< that run keeps from call to call; not set: none
};

using PlanFn = PlannedOp (*)(const OpSite&);

/// One row per operator.
struct OperatorInfo {
  std::string_view name;
  int min_inputs, max_inputs;  ///< kMany: no limit
  int max_outputs;
  PlanFn plan;
};
inline constexpr int kMany = 1 << 20;

// The groups, each a table at the end of its file.
std::span<const OperatorInfo> cast_operators();       ///< op_cast.cpp
std::span<const OperatorInfo> unary_operators();      ///< op_unary.cpp
std::span<const OperatorInfo> binary_operators();     ///< op_binary.cpp
std::span<const OperatorInfo> logic_operators();      ///< op_logic.cpp
std::span<const OperatorInfo> product_operators();    ///< op_product.cpp
std::span<const OperatorInfo> pool_operators();       ///< op_pool.cpp
std::span<const OperatorInfo> norm_operators();       ///< op_norm.cpp
std::span<const OperatorInfo> reduce_operators();     ///< op_reduce.cpp
std::span<const OperatorInfo> shape_operators();      ///< op_shape.cpp
std::span<const OperatorInfo> movement_operators();   ///< op_movement.cpp
std::span<const OperatorInfo> pad_operators();        ///< op_pad.cpp
std::span<const OperatorInfo> quantize_operators();   ///< op_quantize.cpp
std::span<const OperatorInfo> integer_operators();    ///< op_integer.cpp
std::span<const OperatorInfo> transform_operators();  ///< op_transform.cpp
std::span<const OperatorInfo> attention_operators();  ///< op_attention.cpp

const OperatorInfo* find_operator(std::string_view name);  ///< null when unknown

/// Plans one node. Throws DataError for an operator that is not known (naming the nearest), a wrong number of inputs or
/// outputs, or anything that the operator refuses.
PlannedOp plan_operator(const Node& node, int opset, std::vector<OpInput> inputs);

/// Plans and runs one node on constant inputs (null: not given), e.g. to fold constants of an imported graph.
std::vector<Tensor> evaluate_node(const Node& node, int opset, std::span<const Tensor* const> inputs);

// What several groups need.

std::vector<std::int64_t> row_major_strides(const Shape& shape);
/// The shape of a result that all inputs broadcast to. Source: ONNX, Broadcasting (the rule of numpy).
Shape broadcast_shape(const OpSite& site, std::span<const OpInput> inputs);
/// Elements below which an elementwise operator is not worth a second thread.
inline constexpr std::int64_t kElementsPerThread = 1 << 14;
/// Copies the bytes of one tensor to another of equal size; nothing when they are the same.
void copy_bytes(const Tensor& from, Tensor& to);

}  // namespace qb
