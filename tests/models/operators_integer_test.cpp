// Operators on integer codes against ONNX's own node tests: as files (models and tensors) and as decoded vectors.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "kernels/base/random.h"
#include "kernels/base/small_floats.h"
#include "models/element_types.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/integer_layer.h"
#include "models/ops.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

/// Codes must be equal, NaN in its place; real values may differ in the last bit of a division or product.
void check_same(const Tensor& got, const Tensor& wanted) {
  REQUIRE(name_of(got.dtype) == name_of(wanted.dtype));
  REQUIRE(to_text(got.shape) == to_text(wanted.shape));
  if (wanted.dtype != DType::f32) {
    const auto x = got.bytes.span(), y = wanted.bytes.span();
    CHECK(std::equal(x.begin(), x.end(), y.begin(), y.end()));
    return;
  }
  for (std::size_t i = 0; i < wanted.as<float>().size(); ++i) {
    const float x = got.as<float>()[i], y = wanted.as<float>()[i];
    CHECK((x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= 0x1p-23f * std::abs(y)));
    CHECK((std::isnan(y) || std::signbit(x) == std::signbit(y)));
  }
}

/// Graphs compute in float32: half precision is widened where it enters and where it leaves.
Tensor as_fed(Tensor tensor) { return tensor.dtype == DType::f16 ? to_f32(tensor) : tensor; }

/// All inputs but the first become weights, so that kernels compute what plain loops compute else.
Model with_weights(Model model, const std::vector<Tensor>& inputs) {
  for (std::size_t i = 1; i < inputs.size(); ++i) model.weights.emplace(model.graph.inputs[i].name, inputs[i]);
  model.graph.inputs.resize(1);
  return model;
}

void check_outputs(const Executor& executor, const std::vector<Tensor>& wanted) {
  REQUIRE(executor.outputs().size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) check_same(executor.outputs()[i], wanted[i]);
}

/// Runs one node test of ONNX: model.onnx on the tensors of test_data_set_0.
void run_case(const std::filesystem::path& folder) {
  const auto tensors = [&](std::string_view stem) {
    std::vector<Tensor> list;
    for (;;) {
      const auto path = folder / "test_data_set_0" / fmt::format("{}_{}.pb", stem, list.size());
      if (!std::filesystem::exists(path)) return list;
      list.push_back(as_fed(read_onnx_tensor(read_file(path), path.filename().string())));
    }
  };
  const Model model = read_onnx(read_file(folder / "model.onnx"), folder.filename().string());
  const std::vector<Tensor> inputs = tensors("input"), wanted = tensors("output");
  REQUIRE(!wanted.empty());
  Executor executor(model, {});
  executor.run(inputs);
  check_outputs(executor, wanted);
  if (model.graph.nodes.size() != 1 || !integer_inputs(model.graph.nodes[0])) return;
  const Model fixed = with_weights(model, inputs);
  Executor by_kernel(fixed, {});
  by_kernel.run(inputs[0]);
  check_outputs(by_kernel, wanted);
  const Node& node = fixed.graph.nodes[0];
  const bool has_rows = node.op.ends_with("MatMul") || node.op == "MatMulInteger";
  const std::size_t rank = std::get<Tensor>(fixed.weights.at(node.inputs[integer_inputs(node)->w])).rank();
  CHECK(by_kernel.layers().size() == (has_rows && rank > 2 ? 0u : 1u));
}

TEST_CASE("ONNX node tests of quantized operators and casts, from their files") {
  const struct {
    std::string folder;
    int cases;
  } sources[] = {{"data/onnx-node-quant", 97}, {"golden/onnx/debian_node", 17}};
  for (const auto& [source, cases] : sources) {
    const std::filesystem::path folder = shared_path(source);
    if (folder.empty()) continue;
    int ran = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (!entry.is_directory()) continue;
      const std::string name = entry.path().filename();
      INFO(name);
      CHECK_NOTHROW_MESSAGE(run_case(entry.path()), name);
      ++ran;
    }
    MESSAGE(source, ": ", ran, " cases ran");
    CHECK(ran == cases);
  }
}

DType dtype_of_onnx_name(const std::string& name) {
  static const std::map<std::string, DType> types = {{"FLOAT", DType::f32},
                                                     {"FLOAT16", DType::f16},
                                                     {"INT8", DType::i8},
                                                     {"UINT8", DType::u8},
                                                     {"INT16", DType::i16},
                                                     {"UINT16", DType::u16},
                                                     {"INT32", DType::i32},
                                                     {"INT4", DType::i4},
                                                     {"UINT4", DType::u4},
                                                     {"INT2", DType::i2},
                                                     {"UINT2", DType::u2},
                                                     {"FLOAT4E2M1", DType::e2m1fn},
                                                     {"FLOAT8E4M3FN", DType::e4m3fn},
                                                     {"FLOAT8E4M3FNUZ", DType::e4m3fnuz},
                                                     {"FLOAT8E5M2", DType::e5m2},
                                                     {"FLOAT8E5M2FNUZ", DType::e5m2fnuz},
                                                     {"FLOAT8E8M0", DType::e8m0fnu}};
  return types.at(name);
}

/// Elements from numbers, by the codecs of small_floats.h, which have golden vectors of their own.
Tensor tensor_from(const Json& json) {
  Tensor tensor(dtype_of_onnx_name(json.at("dtype")), json.at("shape").get<Shape>());
  const FloatFormat* format = float_format_of(tensor.dtype);
  std::size_t i = 0;
  for (const Json& value : json.at("values")) {
    const std::uint32_t code = format                       ? encode(*format, value.get<double>())
                               : tensor.dtype == DType::f32 ? std::bit_cast<std::uint32_t>(value.get<float>())
                                                            : std::uint32_t(value.get<std::int32_t>());
    std::memcpy(tensor.bytes.data() + i++ * bytes_of(tensor.dtype), &code, bytes_of(tensor.dtype));
  }
  return tensor;
}

std::vector<Tensor> tensors_from(const Json& list) {
  std::vector<Tensor> tensors;
  for (const Json& json : list) tensors.push_back(tensor_from(json));
  return tensors;
}

std::vector<Tensor> evaluate(Node& node, const std::vector<Tensor>& inputs, std::size_t outputs) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  for (std::size_t i = 0; i < outputs; ++i) node.outputs.push_back(fmt::format("y{}", i));
  return evaluate_node(node, 25, pointers);
}

TEST_CASE("ONNX node tests of quantized operators, as decoded vectors") {
  const std::filesystem::path path = shared_path("golden/onnx/onnx_node_quant_cases.json");
  if (path.empty()) return;
  const Json json = Json::parse(read_file(path));
  CHECK(json.at("cases").size() == 42);
  for (const Json& entry : json.at("cases")) {
    Node node{entry.at("name"), entry.at("op"), {}, {}, {}, {}};
    INFO(node.name);
    for (const auto& [key, value] : entry.at("attributes").items()) {
      if (value.is_string())
        node.attributes[key] = onnx_number_of(dtype_of_onnx_name(value));
      else if (value.is_array())
        node.attributes[key] = value.get<std::vector<std::int64_t>>();
      else
        node.attributes[key] = value.get<std::int64_t>();
    }
    const std::vector<Tensor> wanted = tensors_from(entry.at("outputs"));
    const std::vector<Tensor> outputs = evaluate(node, tensors_from(entry.at("inputs")), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) check_same(outputs[i], wanted[i]);
  }
}

std::vector<float> floats_from_hex(std::string_view hex) {
  std::vector<float> values(hex.size() / 8);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(std::uint8_t(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST_CASE("casts to and from floats of 4 and 8 bits, as vectors") {
  const std::filesystem::path path = shared_path("golden/onnx/onnx_cast_float8_cases.json");
  if (path.empty()) return;
  const Json json = Json::parse(read_file(path));
  CHECK(json.at("cases").size() == 22);
  for (const Json& entry : json.at("cases")) {
    Node node{entry.at("name"), "Cast", {}, {}, {}, {}};
    INFO(node.name);
    const DType from = dtype_of_onnx_name(entry.at("from_")), to = dtype_of_onnx_name(entry.at("to"));
    node.attributes["to"] = onnx_number_of(to);
    if (entry.contains("saturate")) node.attributes["saturate"] = entry.at("saturate").get<std::int64_t>();
    if (entry.contains("round_mode")) node.attributes["round_mode"] = entry.at("round_mode").get<std::string>();
    const auto codes = [&](const Json& list, DType type) {
      Tensor tensor(type, {std::ssize(list)});
      for (std::size_t i = 0; i < list.size(); ++i) tensor.bytes.as<std::uint8_t>()[i] = list[i].get<std::uint8_t>();
      return tensor;
    };
    const auto floats = [&](std::string_view key) {
      const std::vector<float> values = floats_from_hex(entry.at(key).get<std::string>());
      return tensor_of({std::ssize(values)}, values);
    };
    std::vector<Tensor> inputs;
    if (to == DType::f32) {
      inputs.push_back(codes(entry.at("codes"), from));
      check_same(evaluate(node, inputs, 1)[0], floats("output_f32_hex"));
      continue;
    }
    inputs.push_back(floats("input_f32_hex"));
    if (from == DType::f16)
      inputs[0] = evaluate_node(Node{"half", "Cast", {}, {"h"}, {{"to", std::int64_t(10)}}, {}}, 25,
                                std::array<const Tensor*, 1>{&inputs[0]})[0];
    check_same(evaluate(node, inputs, 1)[0], codes(entry.at("codes"), to));
  }
}

/// Rows of the table in ONNX's text on Cast for E8M0, and what the three directions mean between two powers.
TEST_CASE("casts to powers of two follow round_mode and saturate") {
  const std::vector<float> x = {0, NAN, INFINITY, 0x1.8p127f, 0x1p-128f, 3.0f, 2.75f, 4.0f};
  const struct {
    std::string mode;
    std::int64_t saturate;
    std::vector<int> codes;
  } rows[] = {{"up", 1, {0, 255, 254, 254, 0, 129, 129, 129}},
              {"down", 1, {0, 255, 254, 254, 0, 128, 128, 129}},
              {"nearest", 1, {0, 255, 254, 254, 0, 129, 128, 129}},
              {"nearest", 0, {255, 255, 255, 255, 255, 129, 128, 129}},
              {"up", 0, {255, 255, 255, 255, 255, 129, 129, 129}}};
  const Tensor values = tensor_of({8}, x);
  for (const auto& [mode, saturate, codes] : rows) {
    INFO(mode << " " << saturate);
    const Node node{
        "c", "Cast", {}, {"y"}, {{"to", std::int64_t(24)}, {"saturate", saturate}, {"round_mode", mode}}, std::nullopt};
    const Tensor y = evaluate_node(node, 25, std::array{&values})[0];
    for (std::size_t i = 0; i < codes.size(); ++i) CHECK(int(y.bytes.as<std::uint8_t>()[i]) == codes[i]);
  }
  const Node wrong{"c",         "Cast", {}, {"y"}, {{"to", std::int64_t(24)}, {"round_mode", std::string("away")}},
                   std::nullopt};
  CHECK_THROWS_AS(evaluate_node(wrong, 25, std::array{&values}), DataError);
}

Tensor as_type(const Tensor& tensor, DType type) {
  const Node cast{"c", "Cast", {}, {"y"}, {{"to", onnx_number_of(type)}}, std::nullopt};
  return evaluate_node(cast, 25, std::array{&tensor})[0];
}

TEST_CASE("every code of every small type survives a cast to a wide type and back") {
  for (int i = 0; i < kDTypes; ++i) {
    const auto type = DType(i);
    const std::optional<IntegerRange> range = integer_range(type);
    const FloatFormat* format = float_format_of(type);
    if (bytes_of(type) != 1 || type == DType::boolean) continue;
    INFO(name_of(type));
    const int low = range ? int(range->low) : 0, high = range ? int(range->high) : (1 << code_bits(*format)) - 1;
    Tensor codes(type, {high - low + 1});
    for (int code = low; code <= high; ++code) codes.bytes.as<std::uint8_t>()[code - low] = std::uint8_t(code);
    for (const DType wide : {DType::f32, DType::f64, DType::bf16, DType::i64}) {
      if (format && wide == DType::i64) continue;
      const Tensor back = as_type(as_type(codes, wide), type);
      for (std::int64_t c = 0; c < codes.size(); ++c) {
        const std::uint8_t was = codes.bytes.as<std::uint8_t>()[c], is = back.bytes.as<std::uint8_t>()[c];
        if (format && std::isnan(decode(*format, was))) {
          CHECK(std::isnan(decode(*format, is)));
        } else if (format && std::isinf(decode(*format, was))) {
          CHECK(decode(*format, is) == std::copysign(max_finite(*format), decode(*format, was)));
        } else {
          CHECK(int(was) == int(is));
        }
      }
    }
  }
}

TEST_CASE("precision of the division and type of the result are the node's to choose") {
  // 2.5004 becomes 2.5 in half precision (steps of 2^-9 there) and in bfloat16, and the tie goes to the even 2.
  const Tensor x = tensor_of({1}, std::vector<float>{2.5004f}), scale = tensor_of({}, std::vector<float>{1.0f});
  const auto code = [&](std::int64_t precision) {
    const Node node{
        "q", "QuantizeLinear", {}, {"y"}, {{"precision", precision}, {"output_dtype", std::int64_t(22)}}, std::nullopt};
    const Tensor y = evaluate_node(node, 23, std::array{&x, &scale})[0];
    CHECK(name_of(y.dtype) == "i4");
    return int(y.bytes.as<std::int8_t>()[0]);
  };
  CHECK(code(0) == 3);
  CHECK(code(1) == 3);
  CHECK(code(10) == 2);
  CHECK(code(16) == 2);
  CHECK_THROWS_AS(code(7), DataError);

  Tensor seven(DType::u4, {1});
  seven.bytes.as<std::uint8_t>()[0] = 7;
  const Tensor tenth = tensor_of({}, std::vector<float>{0.1f});
  const Node node{"d", "DequantizeLinear", {}, {"y"}, {{"output_dtype", std::int64_t(10)}}, std::nullopt};
  const Tensor half = evaluate_node(node, 23, std::array<const Tensor*, 2>{&seven, &tenth})[0];
  CHECK(name_of(half.dtype) == "f16");
  CHECK(half.bytes.as<std::uint16_t>()[0] == f16_from_f32(7 * 0.1f));
}

Tensor random_codes(DType type, Shape shape, std::uint64_t seed) {
  Tensor tensor(type, std::move(shape));
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.size(); ++i) tensor.bytes.as<std::uint8_t>()[i] = std::uint8_t(random.below(256));
  return tensor;
}

TEST_CASE("integer products give the same sums at every thread count, whether weights are constants or not") {
  const struct {
    std::string op;
    Shape x, w;
  } cases[] = {{"ConvInteger", {2, 8, 21, 19}, {12, 8, 3, 3}}, {"MatMulInteger", {3, 40, 70}, {3, 70, 33}}};
  for (const auto& [op, x_shape, w_shape] : cases) {
    INFO(op);
    const Tensor x = random_codes(DType::u8, x_shape, 1), w = random_codes(DType::i8, w_shape, 2);
    const Tensor x_zero = random_codes(DType::u8, {1}, 3), w_zero = random_codes(DType::i8, {1}, 4);
    Model model;
    model.graph.nodes = {{"node", op, {"x", "w", "x_zero", "w_zero"}, {"y"}, {}, {}}};
    model.graph.inputs = {{"x", DType::u8, x_shape}};
    model.graph.outputs = {"y"};
    Model open = model;
    model.weights = {{"w", w}, {"x_zero", x_zero}, {"w_zero", w_zero}};
    open.graph.inputs.insert(open.graph.inputs.end(),
                             {{"w", DType::i8, w_shape}, {"x_zero", DType::u8, {1}}, {"w_zero", DType::i8, {1}}});
    Executor first(model, {}), many(model, {.threads = 3}), fed(open, {.threads = 2});
    first.run(x);
    many.run(x);
    fed.run(std::array{x, w, x_zero, w_zero});
    check_same(many.outputs()[0], first.outputs()[0]);
    check_same(fed.outputs()[0], first.outputs()[0]);
    // One sum by hand: the first of the result is a dot product without padding.
    if (op != "MatMulInteger") continue;
    std::int32_t sum = 0;
    for (std::size_t t = 0; t < 70; ++t)
      sum += (int(x.as<std::uint8_t>()[t]) - int(x_zero.as<std::uint8_t>()[0])) *
             (int(w.as<std::int8_t>()[33 * t]) - int(w_zero.as<std::int8_t>()[0]));
    CHECK(first.outputs()[0].as<std::int32_t>()[0] == sum);
  }
}

TEST_CASE("codes of values that are not finite, of ties and of ranges of nothing") {
  const std::vector<float> x = {NAN, INFINITY, -INFINITY, 0.5f, 1.5f, -0.5f, 2.5f, 3e38f};
  const Tensor values = tensor_of({8}, x), scale = tensor_of({}, std::vector<float>{1.0f});
  Tensor zero(DType::i8, {});
  zero.as<std::int8_t>()[0] = 3;
  const Node quantize{"q", "QuantizeLinear", {}, {"y"}, {}, {}};
  const Tensor y = evaluate_node(quantize, 21, std::array{&values, &scale, static_cast<const Tensor*>(&zero)})[0];
  const std::vector<int> wanted = {3, 127, -128, 3, 5, 3, 5, 127};
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(int(y.as<std::int8_t>()[i]) == wanted[i]);

  const Tensor nothing(DType::f32, {3});
  const Node dynamic{"d", "DynamicQuantizeLinear", {}, {"y", "s", "z"}, {}, {}};
  const std::vector<Tensor> coded = evaluate_node(dynamic, 21, std::array{&nothing});
  CHECK(coded[1].as<float>()[0] == 1.0f / 255.0f);
  CHECK(coded[2].as<std::uint8_t>()[0] == 0);
}

}  // namespace
}  // namespace qb
