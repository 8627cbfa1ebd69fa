// Operators against outputs that the reference evaluator of the onnx package computed (operator_cases.json), as single
// nodes and as graphs, and their refusals.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "models/executor.h"
#include "models/ops.h"

namespace qb {
namespace {

DType dtype_named(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i)
    if (name_of(DType(i)) == name) return DType(i);
  throw DataError("operator_cases.json: unknown type " + name);
}

Tensor tensor_from(const Json& json) {
  Tensor tensor(dtype_named(json.at("dtype")), json.at("shape").get<Shape>());
  std::size_t i = 0;
  for (const Json& value : json.at("values")) {
    switch (tensor.dtype) {
      case DType::f32: tensor.as<float>()[i++] = value.get<float>(); break;
      case DType::i32: tensor.as<std::int32_t>()[i++] = value.get<std::int32_t>(); break;
      case DType::i64: tensor.as<std::int64_t>()[i++] = value.get<std::int64_t>(); break;
      default: tensor.bytes.as<std::uint8_t>()[i++] = value.get<std::uint8_t>(); break;
    }
  }
  return tensor;
}

Attribute attribute_from(const Json& json) {
  if (json.contains("integer")) return json["integer"].get<std::int64_t>();
  if (json.contains("number")) return json["number"].get<float>();
  if (json.contains("text")) return json["text"].get<std::string>();
  return json.at("integers").get<std::vector<std::int64_t>>();
}

/// One node, its inputs and the outputs wanted of it. Inputs that are not given are empty.
struct OperatorCase {
  std::string name;
  int opset = 21;
  Node node;
  std::vector<std::optional<Tensor>> inputs;
  std::vector<Tensor> wanted;
};

std::vector<OperatorCase> operator_cases() {
  const Json json = Json::parse(read_file(QB_SOURCE_ROOT "/tests/models/operator_cases.json"));
  std::vector<OperatorCase> cases;
  for (const Json& entry : json.at("cases")) {
    OperatorCase c;
    c.opset = entry.at("opset");
    c.node.name = "tested";
    c.node.op = entry.at("op");
    c.name = c.node.op + " " + entry.at("label").get<std::string>();
    for (const auto& [key, value] : entry.at("attributes").items()) c.node.attributes[key] = attribute_from(value);
    for (const Json& input : entry.at("inputs")) {
      c.inputs.push_back(input.is_null() ? std::nullopt : std::optional(tensor_from(input)));
      c.node.inputs.push_back(input.is_null() ? "" : fmt::format("x{}", c.inputs.size() - 1));
    }
    for (const Json& output : entry.at("outputs")) {
      c.wanted.push_back(tensor_from(output));
      c.node.outputs.push_back(fmt::format("y{}", c.wanted.size() - 1));
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

/// Both sides compute in float32 with other orders and functions: a few units in the last place of the largest operand.
/// Inputs stay below 10 and sums below 200 terms, so 200 * 2^-24 of a magnitude of at least 1 covers them.
void check_equal(const Tensor& got, const Tensor& wanted) {
  REQUIRE(name_of(got.dtype) == name_of(wanted.dtype));
  REQUIRE(to_text(got.shape) == to_text(wanted.shape));
  if (wanted.dtype != DType::f32) {
    const auto x = got.bytes.span(), y = wanted.bytes.span();
    CHECK(std::equal(x.begin(), x.end(), y.begin(), y.end()));
    return;
  }
  const std::span<const float> x = got.as<float>(), y = wanted.as<float>();
  double scale = 1, worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    scale = std::max(scale, std::abs(double(y[i])));
    worst = std::max(worst, std::isnan(x[i]) ? INFINITY : std::abs(double(x[i]) - double(y[i])));
  }
  CHECK(worst <= 200 * 0x1p-24 * scale);
}

TEST_CASE("every operator computes what the reference evaluator does") {
  std::set<std::string> seen;
  for (const OperatorCase& c : operator_cases()) {
    INFO(c.name);
    seen.insert(c.node.op);
    std::vector<const Tensor*> inputs;
    for (const auto& input : c.inputs) inputs.push_back(input ? &*input : nullptr);
    const std::vector<Tensor> outputs = evaluate_node(c.node, c.opset, inputs);
    REQUIRE(outputs.size() >= c.wanted.size());
    for (std::size_t i = 0; i < c.wanted.size(); ++i) check_equal(outputs[i], c.wanted[i]);
  }
  // Operators on integer codes have their own vectors (operators_integer_test.cpp); Constant is tested by graphs, and
  // what is not ONNX's below.
  const std::set<std::string> elsewhere = {
      "Constant",    "ConvInteger",   "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger",
      "QLinearConv", "QLinearMatMul", "QuantizeLinear",   "quantbench.Hadamard"};
  for (const std::string& name : operator_names()) {
    INFO(name);
    CHECK(seen.contains(name) != elsewhere.contains(name));
  }
}

/// Row i, column j of the matrix is (-1)^(common ones of i and j) / sqrt(block).
TEST_CASE("the Hadamard operator multiplies blocks of any axis by the matrix, signs first") {
  const Tensor x = tensor_of({2, 8, 3}, [] {
    std::vector<float> values(48);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(int(i * 7 % 11) - 5);
    return values;
  }());
  const std::vector<float> signs = {1, -1, -1, 1, 1, 1, -1, 1};
  const Tensor sign = tensor_of({8}, signs);
  for (const std::int64_t block : {1, 2, 4, 8}) {
    INFO("block ", block);
    const Node node{"h", "quantbench.Hadamard", {}, {"y"}, {{"axis", std::int64_t(1)}, {"block", block}}, {}};
    const Tensor y = evaluate_node(node, 21, std::array{&x, &sign})[0];
    for (std::int64_t o = 0; o < 2; ++o)
      for (std::int64_t i = 0; i < 8; ++i)
        for (std::int64_t t = 0; t < 3; ++t) {
          double wanted = 0;
          for (std::int64_t j = i / block * block; j < (i / block + 1) * block; ++j) {
            const auto common = std::popcount(std::uint64_t(i % block) & std::uint64_t(j % block));
            wanted += (common % 2 == 0 ? 1.0 : -1.0) * double(signs[std::size_t(j)]) *
                      double(x.as<float>()[std::size_t((o * 8 + j) * 3 + t)]);
          }
          // Sums of at most 8 values below 6, each rounded once per doubling: far below 1e-5.
          CHECK(std::abs(double(y.as<float>()[std::size_t((o * 8 + i) * 3 + t)]) - wanted / std::sqrt(double(block))) <
                1e-5);
        }
  }
  const Node wrong{"h", "quantbench.Hadamard", {}, {"y"}, {{"axis", std::int64_t(1)}, {"block", std::int64_t(3)}}, {}};
  CHECK_THROWS_AS(evaluate_node(wrong, 21, std::array{&x, &sign}), DataError);
}

/// Which inputs of a node shapes depend on; they must be weights of a graph.
bool decides_shapes(const std::string& op, std::size_t input) {
  static const std::map<std::string, std::size_t> first = {{"Reshape", 1}, {"Squeeze", 1},         {"Unsqueeze", 1},
                                                           {"Split", 1},   {"Slice", 1},           {"Expand", 1},
                                                           {"Pad", 1},     {"ConstantOfShape", 0}, {"ReduceSum", 1}};
  const auto found = first.find(op.starts_with("Reduce") ? "ReduceSum" : op);
  return found != first.end() && input >= found->second;
}

TEST_CASE("operators compute the same inside a graph, with and without an observer and with products through kernels") {
  for (const OperatorCase& c : operator_cases()) {
    for (const bool weights_first : {false, true}) {
      INFO(c.name);
      Model model;
      model.name = "graph";
      model.graph.opset = c.opset;
      std::vector<Tensor> inputs;
      for (std::size_t i = 0; i < c.inputs.size(); ++i) {
        if (!c.inputs[i]) continue;
        // The second operand of a product as a weight goes through a kernel, as a graph input through plain loops.
        if (decides_shapes(c.node.op, i) || (weights_first && i == 1)) {
          model.weights.emplace(c.node.inputs[i], *c.inputs[i]);
        } else {
          model.graph.inputs.push_back({c.node.inputs[i], c.inputs[i]->dtype, c.inputs[i]->shape});
          inputs.push_back(*c.inputs[i]);
        }
      }
      model.graph.nodes = {c.node};
      model.graph.outputs = c.node.outputs;
      Executor executor(model, {.threads = 2});
      for (const bool observed : {false, true, false}) {
        ExecutorObserver observer;
        if (observed) observer.after = [](const NodeEvent&) {};
        executor.observe(observer);
        executor.run(inputs);
        for (std::size_t i = 0; i < c.wanted.size(); ++i) check_equal(executor.outputs()[i], c.wanted[i]);
      }
    }
  }
}

std::string refusal(Node node, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  node.name = "n";
  if (node.outputs.empty()) node.outputs = {"y"};
  try {
    evaluate_node(node, 21, pointers);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("what an operator cannot do is refused with the node's name") {
  const auto zeros = [](Shape shape, DType type = DType::f32) { return Tensor(type, std::move(shape)); };
  const auto ints = [](std::vector<std::int64_t> values) { return tensor_of({std::ssize(values)}, values); };
  const auto node = [](std::string op, std::map<std::string, Attribute, std::less<>> attributes = {}) {
    return Node{"", std::move(op), {}, {}, std::move(attributes), {}};
  };
  using Ints = std::vector<std::int64_t>;
  CHECK(refusal(node("Relux"), {zeros({2})}) == "node 'n': operator 'Relux' is not known; did you mean 'Relu'?");
  CHECK(refusal(node("Relu"), {}) == "node 'n' (Relu): input 0 is missing");
  CHECK(refusal(node("Relu"), {zeros({2}), zeros({2})}) ==
        "node 'n' (Relu): has 2 inputs but the operator takes at most 1");
  CHECK(refusal(node("Add"), {zeros({2}), zeros({3})}) ==
        "node 'n' (Add): an input of shape [3] cannot be broadcast to [2]");
  CHECK(refusal(node("Add"), {zeros({2}), zeros({2}, DType::i64)}) == "node 'n' (Add): input 1 is i64 but must be f32");
  CHECK(refusal(node("Reshape"), {zeros({6}), ints({4, -1})}) ==
        "node 'n' (Reshape): a tensor of shape [6] cannot take the shape [4, -1]");
  CHECK(refusal(node("Reshape"), {zeros({6}), ints({-1, -1})}) ==
        "node 'n' (Reshape): the new shape [1, -1] has -1 twice");
  CHECK(refusal(node("Transpose", {{"perm", Ints{0, 0}}}), {zeros({2, 3})}) ==
        "node 'n' (Transpose): axis 0 is listed twice");
  CHECK(refusal(node("Concat", {{"axis", std::int64_t(3)}}), {zeros({2, 3})}) ==
        "node 'n' (Concat): axis 3 is outside a tensor of rank 2");
  CHECK(refusal(node("Softmax", {{"axis", std::string("x")}}), {zeros({2})}) ==
        "node 'n' (Softmax): attribute 'axis' is a text but must be an integer");
  CHECK(refusal(node("Conv"), {zeros({1, 3, 4, 4}), zeros({2, 2, 3, 3})}) ==
        "node 'n' (Conv): weights of shape [2, 2, 3, 3] in 1 groups do not fit 3 input channels");
  CHECK(refusal(node("Conv"), {zeros({1, 2, 2, 2}), zeros({2, 2, 3, 3})}).find("does not fit into 2 padded elements") !=
        std::string::npos);
  CHECK(refusal(node("Conv", {{"strides", Ints{0, 1}}}), {zeros({1, 2, 4, 4}), zeros({2, 2, 3, 3})}) ==
        "node 'n' (Conv): attribute 'strides' has the value 0");
  CHECK(refusal(node("MatMul"), {zeros({2, 3}), zeros({2, 3})}) ==
        "node 'n' (MatMul): shapes [2, 3] and [2, 3] do not multiply");
  CHECK(refusal(node("Slice"), {zeros({4}), ints({0}), ints({2}), ints({0}), ints({0})}) ==
        "node 'n' (Slice): step 0 is not possible");
  CHECK(refusal(node("Expand"), {zeros({1}), ints({1 << 20, 1 << 20, 1 << 20})}).find("more than 2^40 elements") !=
        std::string::npos);
  CHECK(refusal(node("QuantizeLinear"), {zeros({2, 4}), zeros({3})}) ==
        "node 'n' (QuantizeLinear): 3 scales do not fit an axis of 4");
}

}  // namespace
}  // namespace qb
