// The JSON text of a graph. An attribute is an object of one member whose key is its type:
// {"integer": 1}, {"number": 0.5}, {"text": ".."}, {"integers": [..]}, {"numbers": [..]}, {"tensor": {dtype, shape,
// bytes}}. Numbers that JSON cannot hold are the words "inf", "-inf" and "nan"; a tensor's bytes are hexadecimal,
// little-endian.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/activation_rows.h"
#include "kernels/base/json.h"
#include "models/graph.h"

namespace qb {

namespace {

Json number_to_json(float value) {
  if (std::isfinite(value)) return double(value);
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

float number_from_json(const Json& value, const std::string& where) {
  if (value.is_number()) {
    const float number = float(value.get<double>());
    if (std::isfinite(number)) return number;
  }
  if (value == "inf") return std::numeric_limits<float>::infinity();
  if (value == "-inf") return -std::numeric_limits<float>::infinity();
  if (value == "nan") return std::numeric_limits<float>::quiet_NaN();
  throw DataError(fmt::format("{}: must be a number that float32 can hold, \"inf\", \"-inf\" or \"nan\"", where));
}

DType dtype_from_name(const std::string& name, const std::string& where) {
  for (int i = 0; i < kDTypes; ++i)
    if (name_of(DType(i)) == name) return DType(i);
  throw DataError(fmt::format("{}: '{}' is not an element type; e.g. f32, i64, u8 and bool are", where, name));
}

Json tensor_to_json(const Tensor& tensor) {
  std::string hex;
  for (const std::byte byte : tensor.bytes.span()) hex += fmt::format("{:02x}", unsigned(byte));
  return {{"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"bytes", hex}};
}

int nibble(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

Tensor tensor_from_json(const Json& value, const std::string& where) {
  Fields fields(value, where, Blame::peer);
  const DType dtype = dtype_from_name(fields.text("dtype"), where);
  const Shape shape = fields.integers("shape");
  const std::string hex = fields.text("bytes");
  fields.done();
  const auto bytes = std::uint64_t(element_count(shape, where)) * bytes_of(dtype);
  if (hex.size() != 2 * bytes)
    throw DataError(fmt::format("{}: {} hexadecimal digits given where the shape {} needs {}", where, hex.size(),
                                to_text(shape), 2 * bytes));
  Tensor tensor(dtype, shape);
  for (std::size_t i = 0; i < bytes; ++i) {
    const int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
    if (high < 0 || low < 0) throw DataError(fmt::format("{}: bytes must be digits 0-9 and a-f", where));
    tensor.bytes.data()[i] = std::byte(high * 16 + low);
  }
  return tensor;
}

struct AttributeWriter {
  Json operator()(std::int64_t value) const { return {{"integer", value}}; }
  Json operator()(float value) const { return {{"number", number_to_json(value)}}; }
  Json operator()(const std::string& value) const { return {{"text", value}}; }
  Json operator()(const std::vector<std::int64_t>& value) const { return {{"integers", value}}; }
  Json operator()(const std::vector<float>& value) const {
    Json numbers = Json::array();
    for (const float number : value) numbers.push_back(number_to_json(number));
    return {{"numbers", numbers}};
  }
  Json operator()(const Tensor& value) const { return {{"tensor", tensor_to_json(value)}}; }
};

Attribute attribute_from_json(const Json& value, const std::string& where) {
  constexpr std::int64_t kLow = std::numeric_limits<std::int64_t>::min(),
                         kHigh = std::numeric_limits<std::int64_t>::max();
  Fields fields(value, where, Blame::peer);
  Attribute attribute;
  if (fields.has("integer")) {
    attribute = fields.integer("integer", kLow, kHigh);
  } else if (fields.has("number")) {
    attribute = number_from_json(fields.at("number"), where);
  } else if (fields.has("text")) {
    attribute = fields.text("text");
  } else if (fields.has("integers")) {
    attribute = fields.integers("integers");
  } else if (fields.has("numbers")) {
    std::vector<float> numbers;
    for (const Json& number : fields.array("numbers")) numbers.push_back(number_from_json(number, where));
    attribute = numbers;
  } else if (fields.has("tensor")) {
    attribute = tensor_from_json(fields.at("tensor"), where);
  } else {
    throw DataError(
        fmt::format("{}: an attribute has one member named integer, number, text, integers, numbers or tensor", where));
  }
  fields.done();
  return attribute;
}

Json node_to_json(const Node& node) {
  Json attributes = Json::object();
  for (const auto& [key, value] : node.attributes) attributes[key] = std::visit(AttributeWriter{}, value);
  Json json = {{"name", node.name},
               {"op", node.op},
               {"inputs", node.inputs},
               {"outputs", node.outputs},
               {"attributes", attributes}};
  if (node.activation) {
    json["activation"] = {{"static", node.activation->is_static},
                          {"bits", node.activation->bits},
                          {"scale", double(node.activation->scale)},
                          {"zero", node.activation->zero}};
    if (node.activation->group > 0) json["activation"]["group"] = node.activation->group;
  }
  if (node.result) {
    json["result"] = {{"bits", node.result->bits},
                      {"scale", double(node.result->scale)},
                      {"zero", node.result->zero},
                      {"rounding", name_of(node.result->rounding)}};
  }
  return json;
}

Requantization rounding_from_json(Fields& fields) {
  const std::string name = fields.text("rounding");
  for (const Requantization rounding :
       {Requantization::double_rounding, Requantization::single_rounding, Requantization::float64})
    if (name == name_of(rounding)) return rounding;
  fields.fail("rounding", "must be double, single or float64");
}

Node node_from_json(const Json& value, const std::string& where) {
  Fields fields(value, where, Blame::peer);
  Node node;
  node.name = fields.text("name");
  node.op = fields.text("op");
  node.inputs = fields.texts("inputs");
  node.outputs = fields.texts("outputs");
  if (const Json* attributes = fields.find("attributes")) {
    if (!attributes->is_object()) fields.fail("attributes", "must be an object");
    for (const auto& [key, attribute] : attributes->items())
      node.attributes[key] = attribute_from_json(attribute, fmt::format("{}: attribute '{}'", where, key));
  }
  if (const Json* activation = fields.find("activation")) {
    Fields quant(*activation, where + ": activation", Blame::peer);
    node.activation = ActivationQuant{quant.flag_or("static", false), int(quant.integer("bits", 2, 8)),
                                      float(quant.number("scale")), std::int32_t(quant.integer("zero", -128, 127)),
                                      quant.integer_or("group", 0, kActivationGroups.back(), 0)};
    quant.done();
  }
  if (const Json* result = fields.find("result")) {
    Fields quant(*result, where + ": result", Blame::peer);
    node.result = ResultQuant{int(quant.integer("bits", 2, 8)), float(quant.number("scale")),
                              std::int32_t(quant.integer("zero", -128, 127)), rounding_from_json(quant)};
    quant.done();
  }
  fields.done();
  return node;
}

}  // namespace

std::string to_json_text(const Graph& graph) {
  Json inputs = Json::array(), nodes = Json::array();
  for (const ValueInfo& input : graph.inputs)
    inputs.push_back({{"name", input.name}, {"dtype", name_of(input.dtype)}, {"shape", input.shape}});
  for (const Node& node : graph.nodes) nodes.push_back(node_to_json(node));
  return canonical_text(Json{{"opset", graph.opset}, {"inputs", inputs}, {"outputs", graph.outputs}, {"nodes", nodes}});
}

Graph graph_from_json(std::string_view text, std::string_view where) {
  const Json json = parse_json(text, where, Blame::peer, {.depth = 16, .string_bytes = 16 << 20});
  const std::string prefix(where);
  Fields fields(json, prefix, Blame::peer);
  Graph graph;
  graph.opset = int(fields.integer("opset", 1, 1000));
  graph.outputs = fields.texts("outputs");
  for (const Json& value : fields.array("inputs")) {
    Fields input(value, prefix + ": inputs", Blame::peer);
    ValueInfo info{input.text("name"), DType::f32, {}};
    info.dtype = dtype_from_name(input.text("dtype"), prefix + ": input '" + info.name + "'");
    info.shape = input.integers("shape");
    input.done();
    for (const std::int64_t extent : info.shape)
      if (extent < -1) input.fail("shape", "has a negative extent other than -1, the batch");
    graph.inputs.push_back(std::move(info));
  }
  std::size_t position = 0;
  for (const Json& value : fields.array("nodes"))
    graph.nodes.push_back(node_from_json(value, fmt::format("{}: node {}", where, position++)));
  fields.done();
  return graph;
}

}  // namespace qb
