// A network as data: nodes in order of execution, named values, weights by name.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/base/tensor.h"
#include "kernels/packed_matrix.h"
#include "kernels/requantize.h"

namespace qb {

using Attribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>, Tensor>;

/// How the activations that enter a Conv, Gemm or MatMul become integers. Set by a quantizer, obeyed by the executor.
struct ActivationQuant {
  bool is_static = false;  ///< else by the absolute maximum of each row (Gemm, MatMul) or each sample (Conv)
  int bits = 8;
  float scale = 1.0f;     ///< static only
  std::int32_t zero = 0;  ///< static only, in [-2^(bits-1), 2^(bits-1)-1]
  /// Columns of a row that share a scale, of RowScaling's (kernels/activation_rows.h); 0: all of them. Neither static
  /// nor for Conv.
  std::int64_t group = 0;
  bool operator==(const ActivationQuant&) const = default;
};

/// How the sums of a layer become the codes of its result in integers only, as on processors without floats: sums and
/// bias at the scale of activations times weights, multiplied in fixed point (models/fixed_result.h). What leaves the
/// node are the real values of those codes.
struct ResultQuant {
  int bits = 8;
  float scale = 1.0f;
  std::int32_t zero = 0;  ///< in [-2^(bits-1), 2^(bits-1)-1]; the codes are those of an ActivationQuant of this zero
  Requantization rounding = Requantization::double_rounding;
  bool operator==(const ResultQuant&) const = default;
};

/// One operator with ONNX's name and meaning at the graph's opset. An empty input name means "not given".
struct Node {
  std::string name;  ///< unique in its graph
  std::string op;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute, std::less<>> attributes;
  std::optional<ActivationQuant> activation;  ///< only on nodes whose weight is packed
  std::optional<ResultQuant> result = {};     ///< only on nodes with a static activation

  std::int64_t integer_or(std::string_view key, std::int64_t otherwise) const;
  float number_or(std::string_view key, float otherwise) const;
  std::string text_or(std::string_view key, std::string otherwise) const;
  std::vector<std::int64_t> integers_or(std::string_view key, std::vector<std::int64_t> otherwise) const;
  /// Each throws DataError naming node and attribute when the attribute has another type.
};

/// A graph input. Extent -1 is the batch; all others are known.
struct ValueInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

struct Graph {
  std::vector<Node> nodes;  ///< every value is defined before it is used
  std::vector<ValueInfo> inputs;
  std::vector<std::string> outputs;
  int opset = 21;
};

using Weight = std::variant<Tensor, PackedMatrix>;

enum class Task : std::uint8_t { classification, language };
std::string_view name_of(Task task);

/// A loaded network. Weights that a quantizer has touched are PackedMatrix in the [n, k] form of weight_matrix.h.
struct Model {
  std::string name;
  Task task = Task::classification;
  Graph graph;
  std::map<std::string, Weight, std::less<>> weights;
  std::string digest;  ///< of the files it was made from
};

/// Throws DataError, naming node and value, unless names are unique, every input is defined before use, every output
/// exists and every packed weight belongs to one Conv, Gemm or MatMul.
void check_graph(const Model& model);

/// Canonical JSON text of a graph (no weights), and back. Written into configs/zoo/*/model.json.
std::string to_json_text(const Graph& graph);
Graph graph_from_json(std::string_view text, std::string_view where);  ///< throws DataError

}  // namespace qb
