#include <models/import/onnx.pb.h>

#include <cmath>
#include <functional>
#include <string>

#include "models/executor.h"
#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

// Written by the onnx package at IR 3, opset 8, nodes without names, the weight w also listed as an input:
// x [1, 3] -> Dropout, Slice(0:2), Pad(one 2 behind), Clip(-1, 3), Unsqueeze, Squeeze, MatMul(Reshape(w [6] to [3,
// -1])), Reshape(to [1, 2]), BatchNormalization(all ones), Softmax.
constexpr std::string_view kOld =
    "080312003aff040a200a0178120164220744726f706f75742a0f0a05726174696f150000003fa001010a360a01641201732205536c6963"
    "652a0b0a04617865734001a001072a0b0a04656e64734002a001072a0d0a067374617274734000a001070a2f0a01731201702203506164"
    "2a110a04706164734000400040004001a001072a0f0a0576616c75651500000040a001010a2a0a01701201632204436c69702a0d0a036d"
    "61781500004040a001012a0d0a036d696e15000080bfa001010a1e0a01631201752209556e73717565657a652a0b0a04617865734002a0"
    "01070a1c0a0175120171220753717565657a652a0b0a04617865734002a001070a180a01770a0677736861706512027732220752657368"
    "6170650a120a01710a02773212016d22064d61744d756c0a170a016d0a066f73686170651201722207526573686170650a4f0a01720a01"
    "670a01620a046d65616e0a0376617212016e221242617463684e6f726d616c697a6174696f6e2a120a086d6f6d656e74756d150000003f"
    "a001012a0e0a077370617469616c1801a001020a0f0a016e1201792207536f66746d617812036f6c642a210806100122180000803f0000"
    "004000004040000080400000a0400000c0404201772a19080210073a0b03ffffffffffffffffff0142067773686170652a10080210073a"
    "02010242066f73686170652a110802100122080000803f0000803f4201672a110802100122080000803f0000803f4201622a1408021001"
    "22080000803f0000803f42046d65616e2a130802100122080000803f0000803f42037661725a130a0178120e0a0c080112080a0208010a"
    "0208035a0f0a0177120a0a08080112040a02080662130a0179120e0a0c080112080a0208010a02080242040a001008";

using onnx_wire::ModelProto;
using onnx_wire::NodeProto;

NodeProto* add_node(ModelProto& file, const std::string& op, const std::vector<std::string>& inputs,
                    const std::vector<std::string>& outputs) {
  NodeProto* node = file.mutable_graph()->add_node();
  node->set_op_type(op);
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  return node;
}

void add_input(ModelProto& file, const std::string& name, const Shape& shape) {
  auto* input = file.mutable_graph()->add_input();
  input->set_name(name);
  auto* type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(1);
  for (const std::int64_t extent : shape) {
    auto* dim = type->mutable_shape()->add_dim();
    if (extent < 0) dim->set_dim_param("N");
    if (extent >= 0) dim->set_dim_value(extent);
  }
}

/// x [N, 4] -> Relu -> y, for tests to change.
ModelProto small_file() {
  ModelProto file;
  file.set_ir_version(8);
  file.add_opset_import()->set_version(17);
  add_input(file, "x", {-1, 4});
  add_node(file, "Relu", {"x"}, {"y"});
  file.mutable_graph()->add_output()->set_name("y");
  return file;
}

std::string fault(const ModelProto& file) {
  return fault_of([&] { read_onnx(file.SerializeAsString(), "m.onnx"); });
}

std::string fault_after(const std::function<void(ModelProto&)>& change) {
  ModelProto file = small_file();
  change(file);
  return fault(file);
}

TEST_CASE("attributes that moved between opsets come out in one form and compute the same") {
  const Model model = read_onnx(from_hex(kOld), "old.onnx");
  check_graph(model);
  CHECK(model.graph.opset == 8);
  REQUIRE(model.graph.inputs.size() == 1);
  CHECK(model.graph.inputs[0].shape == Shape{-1, 3});
  for (const Node& node : model.graph.nodes) {
    CHECK(node.op != "Dropout");
    if (node.op == "Slice" || node.op == "Pad" || node.op == "Clip") CHECK(node.inputs.size() >= 3);
    if (node.op == "Squeeze" || node.op == "Unsqueeze") CHECK(node.inputs.size() == 2);
    if (node.op != "Softmax" && node.op != "BatchNormalization") CHECK(node.attributes.empty());
  }
  CHECK(std::get<Tensor>(model.weights.at("w2")).shape == Shape{3, 2});

  Executor executor(model, {.batch = 2});
  const float input[] = {0.5f, -3, 9, 0, 0, 0};
  const Tensor& output = executor.run(tensor_of({2, 3}, input));
  REQUIRE(output.shape == Shape{2, 2});
  // By hand: [0.5, -1, 2] w = [7.5, 9] and [0, 0, 2] w = [10, 12]; the normalization divides differences by sqrt(1 +
  // 1e-5).
  for (const auto& [row, difference] : {std::pair{0, 1.5}, {1, 2.0}}) {
    const double first = 1 / (1 + std::exp(difference / std::sqrt(1 + 1e-5)));
    CHECK(output.as<float>()[std::size_t(2 * row)] ==
          doctest::Approx(first).epsilon(1e-5));  // float32 exp of values near 10
  }
}

TEST_CASE("nodes without names get names of their own") {
  ModelProto file = small_file();
  add_node(file, "Neg", {"y"}, {"z"})->set_name("Relu_0");
  add_node(file, "Neg", {"z"}, {"u"})->set_name("Relu_0");
  file.mutable_graph()->mutable_output(0)->set_name("u");
  const Model model = read_onnx(file.SerializeAsString(), "m.onnx");
  REQUIRE(model.graph.nodes.size() == 3);
  CHECK(model.graph.nodes[0].name == "Relu_0");
  CHECK(model.graph.nodes[1].name != model.graph.nodes[0].name);
  CHECK(model.graph.nodes[2].name != model.graph.nodes[1].name);
}

TEST_CASE("constants are folded, half weights widen, and what nobody reads is left out") {
  ModelProto file = small_file();
  auto* half = add_node(file, "Constant", {}, {"half"})->add_attribute();
  half->set_name("value");
  half->set_type(4);
  half->mutable_t()->set_data_type(10);
  half->mutable_t()->add_dims(4);
  half->mutable_t()->set_raw_data(from_hex("003c0040003e00c0"));  // 1, 2, 1.5, -2
  add_node(file, "Neg", {"half"}, {"negated"});
  auto* unread = file.mutable_graph()->add_initializer();
  unread->set_name("unread");
  unread->set_data_type(1);
  add_node(file, "Identity", {"y"}, {"same"});
  add_node(file, "Add", {"same", "half"}, {"sum"});
  file.mutable_graph()->mutable_output(0)->set_name("sum");
  unread->add_dims(0);
  const Model model = read_onnx(file.SerializeAsString(), "m.onnx");
  CHECK(model.graph.nodes.size() == 2);
  REQUIRE(model.weights.size() == 1);
  const Tensor& tensor = std::get<Tensor>(model.weights.at("half"));
  CHECK(tensor.dtype == DType::f32);
  CHECK(tensor.as<float>()[3] == -2.0f);
}

TEST_CASE("a constant that would outgrow the file many times is refused") {
  const std::string message = fault_after([](ModelProto& file) {
    auto* shape = file.mutable_graph()->add_initializer();
    shape->set_name("shape");
    shape->set_data_type(7);
    shape->add_dims(1);
    shape->add_int64_data(std::int64_t(1) << 36);
    add_node(file, "ConstantOfShape", {"shape"}, {"zeros"});
  });
  CHECK(message.find("many times larger") != std::string::npos);
}

TEST_CASE("a Reshape follows the batch only where its input begins with it") {
  ModelProto file = small_file();
  const auto add_target = [&](const std::string& name, std::vector<std::int64_t> extents) {
    auto* target = file.mutable_graph()->add_initializer();
    target->set_name(name);
    target->set_data_type(7);
    target->add_dims(std::ssize(extents));
    for (const std::int64_t extent : extents) target->add_int64_data(extent);
  };
  add_target("row", {1, 2, -1});
  add_target("open", {-1, 4});
  add_node(file, "Reshape", {"y", "row"}, {"a"});
  add_node(file, "Transpose", {"a"}, {"b"});
  add_node(file, "Reshape", {"b", "row"}, {"c"});
  add_node(file, "Reshape", {"a", "open"}, {"d"});
  file.mutable_graph()->add_output()->set_name("c");
  file.mutable_graph()->add_output()->set_name("d");
  const Model model = read_onnx(file.SerializeAsString(), "m.onnx");
  const auto target = [&](std::size_t node) {
    const auto values = std::get<Tensor>(model.weights.at(model.graph.nodes.at(node).inputs[1])).as<std::int64_t>();
    return std::vector<std::int64_t>(values.begin(), values.end());
  };
  CHECK(target(1) == std::vector<std::int64_t>{0, 2, -1});
  CHECK(target(3) == std::vector<std::int64_t>{1, 2, -1});
  CHECK(target(4) == std::vector<std::int64_t>{-1, 4});
}

TEST_CASE("what is not read is named") {
  const auto says = [](const std::string& message, std::string_view part) {
    return message.find(part) != std::string::npos;
  };
  CHECK(says(fault_after([](ModelProto& f) { f.mutable_graph()->mutable_node(0)->set_op_type("Rellu"); }),
             "did you mean 'Relu'"));
  CHECK(says(fault_after([](ModelProto& f) { f.mutable_graph()->mutable_node(0)->set_domain("com.microsoft"); }),
             "com.microsoft"));
  CHECK(says(fault_after([](ModelProto& f) { f.mutable_opset_import(0)->set_version(6); }),
             "opset 6; accepted are 7 to 25"));
  CHECK(says(fault_after([](ModelProto& f) { f.mutable_opset_import(0)->set_version(26); }), "opset 26"));
  CHECK(says(fault_after([](ModelProto& f) { f.clear_opset_import(); }), "no opset"));
  CHECK(says(fault_after([](ModelProto& f) { f.add_functions(); }), "functions"));
  CHECK(
      says(fault_after([](ModelProto& f) { f.mutable_graph()->mutable_node(0)->set_input(0, "nobody"); }), "'nobody'"));
  CHECK(says(fault_after([](ModelProto& f) { add_node(f, "Neg", {"x"}, {"y"}); }), "exists already"));
  CHECK(says(fault_after([](ModelProto& f) { f.mutable_graph()->mutable_output(0)->set_name("x"); }), "not computed"));
  CHECK(says(fault_after([](ModelProto& f) { add_input(f, "z", {-1, -1}); }), "leaves extent 1 open"));
  CHECK(says(fault_after([](ModelProto& f) { add_input(f, "x", {1}); }), "two inputs"));
  CHECK(says(fault_after([](ModelProto& f) {
               auto* attribute = f.mutable_graph()->mutable_node(0)->add_attribute();
               attribute->set_name("body");
               attribute->set_type(5);
             }),
             "graph of its own"));
  CHECK(says(fault_after([](ModelProto& f) {
               auto* tensor = f.mutable_graph()->add_initializer();
               tensor->set_name("w");
               tensor->set_data_type(1);
               tensor->set_data_location(1);
             }),
             "another file"));
  CHECK(says(fault_of([] { read_onnx("no model", "m.onnx"); }), "not an ONNX model"));
}

TEST_CASE("every truncation and every damaged byte ends in words or in a model") {
  const std::string bytes = from_hex(kOld);
  read_damaged(bytes, bytes.size(), [](const std::string& file) { read_onnx(file, "old.onnx"); });
}

}  // namespace
}  // namespace qb
