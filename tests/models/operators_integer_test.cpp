// Operators on integer codes against ONNX's own node tests: as files (models and tensors) and as decoded vectors.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "kernels/base/small_floats.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/ops.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

/// Formats that no operator computes yet: 8-bit and 4-bit floats, and integers of 4 and 2 bits, which have no DType.
bool needs_unknown_format(const std::string& name) {
  static constexpr std::array<std::string_view, 6> kFormats = {"e4m3", "e5m2", "float4", "int2", "int4", "e8m0"};
  return std::any_of(kFormats.begin(), kFormats.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

/// Codes must be equal; real values may differ in the last bit of a division or product.
void check_same(const Tensor& got, const Tensor& wanted) {
  REQUIRE(name_of(got.dtype) == name_of(wanted.dtype));
  REQUIRE(to_text(got.shape) == to_text(wanted.shape));
  if (wanted.dtype == DType::f32) {
    for (std::size_t i = 0; i < wanted.as<float>().size(); ++i)
      CHECK(std::abs(got.as<float>()[i] - wanted.as<float>()[i]) <= 0x1p-23f * std::abs(wanted.as<float>()[i]));
    return;
  }
  const auto x = got.bytes.span(), y = wanted.bytes.span();
  CHECK(std::equal(x.begin(), x.end(), y.begin(), y.end()));
}

/// Most of these files say opset 25, above what the reader accepts; for the types tested here the operators have not
/// changed since opset 21, so that is what they are read as. The last bytes are the field opset_import { domain: "",
/// version }.
std::string with_known_opset(std::string bytes) {
  if (!bytes.empty() && bytes.back() == 25) bytes.back() = 21;
  return bytes;
}

TEST_CASE("ONNX node tests of quantized operators, from their files") {
  const std::filesystem::path folder = shared_path("data/onnx-node-quant");
  if (folder.empty()) return;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_directory() && !entry.path().filename().string().starts_with("test_cast"))
      names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  int ran = 0;
  for (const std::string& name : names) {
    if (needs_unknown_format(name)) {
      MESSAGE("SKIPPED: ", name, ": its element type is not computed by operators");
      continue;
    }
    INFO(name);
    const auto tensor = [&](const std::string& stem, std::size_t i) -> std::optional<Tensor> {
      const std::filesystem::path path = folder / name / "test_data_set_0" / fmt::format("{}_{}.pb", stem, i);
      if (!std::filesystem::exists(path)) return std::nullopt;
      return read_onnx_tensor(read_file(path), path.filename().string());
    };
    const Model model = read_onnx(with_known_opset(read_file(folder / name / "model.onnx")), name);
    std::vector<Tensor> inputs;
    // Graphs compute in float32: the reader widens 16-bit float inputs, and so does whoever feeds them.
    while (auto input = tensor("input", inputs.size()))
      inputs.push_back(input->dtype == DType::f16 ? to_f32(*input) : std::move(*input));
    Executor executor(model, {});
    executor.run(inputs);
    for (std::size_t i = 0; auto wanted = tensor("output", i); ++i) check_same(executor.outputs()[i], *wanted);
    ++ran;
  }
  CHECK(ran >= 25);
}

std::optional<DType> dtype_of_onnx_name(const std::string& name) {
  static const std::map<std::string, DType> types = {
      {"FLOAT", DType::f32}, {"FLOAT16", DType::f16}, {"INT8", DType::i8},  {"UINT8", DType::u8},
      {"INT16", DType::i16}, {"UINT16", DType::u16},  {"INT32", DType::i32}};
  const auto found = types.find(name);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

Tensor tensor_from(const Json& json) {
  Tensor tensor(*dtype_of_onnx_name(json.at("dtype")), json.at("shape").get<Shape>());
  std::size_t i = 0;
  for (const Json& value : json.at("values")) {
    switch (tensor.dtype) {
      case DType::f32: tensor.as<float>()[i++] = value.get<float>(); break;
      case DType::f16: tensor.bytes.as<std::uint16_t>()[i++] = f16_from_f32(value.get<float>()); break;
      case DType::i32: tensor.as<std::int32_t>()[i++] = value.get<std::int32_t>(); break;
      case DType::i16:
      case DType::u16: tensor.bytes.as<std::uint16_t>()[i++] = std::uint16_t(value.get<std::int32_t>()); break;
      default: tensor.bytes.as<std::uint8_t>()[i++] = std::uint8_t(value.get<std::int32_t>()); break;
    }
  }
  return tensor;
}

TEST_CASE("ONNX node tests of quantized operators, as decoded vectors") {
  const std::filesystem::path path = shared_path("golden/onnx/onnx_node_quant_cases.json");
  if (path.empty()) return;
  const Json json = Json::parse(read_file(path));
  int ran = 0;
  for (const Json& entry : json.at("cases")) {
    Node node{entry.at("name"), entry.at("op"), {}, {}, {}, {}};
    INFO(node.name);
    const auto known = [](const Json& list) {
      return std::all_of(list.begin(), list.end(),
                         [](const Json& value) { return dtype_of_onnx_name(value.at("dtype")).has_value(); });
    };
    if (!known(entry.at("inputs")) || !known(entry.at("outputs"))) {
      CHECK(needs_unknown_format(node.name));
      continue;
    }
    for (const auto& [key, value] : entry.at("attributes").items()) {
      if (value == "INT16")
        node.attributes[key] = std::int64_t(5);
      else if (value.is_array())
        node.attributes[key] = value.get<std::vector<std::int64_t>>();
      else
        node.attributes[key] = value.get<std::int64_t>();
    }
    std::vector<Tensor> inputs;
    for (const Json& input : entry.at("inputs")) inputs.push_back(tensor_from(input));
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : inputs) pointers.push_back(&input);
    for (std::size_t i = 0; i < entry.at("outputs").size(); ++i) node.outputs.push_back(fmt::format("y{}", i));
    const std::vector<Tensor> outputs = evaluate_node(node, 21, pointers);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) check_same(outputs[i], tensor_from(entry.at("outputs")[i]));
    ++ran;
  }
  CHECK(ran >= 25);
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
