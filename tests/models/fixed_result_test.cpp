// Layers that requantize in integers, against ConvInteger, MatMulInteger and the scalar rule of kernels/requantize.h.
#include "models/fixed_result.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "kernels/base/random.h"
#include "models/executor.h"

namespace qb {
namespace {

using Ints = std::vector<std::int64_t>;

Tensor random_tensor(Shape shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(low, high));
  return tensor;
}

/// Random codes over their whole range, a scale of its own for each row.
PackedMatrix random_weights(std::int64_t n, std::int64_t k, QuantFormat format, std::uint64_t seed) {
  UnpackedMatrix matrix;
  matrix.format = format;
  matrix.n = n;
  matrix.k = k;
  Random random(seed);
  for (std::int64_t i = 0; i < n * k; ++i)
    matrix.codes.push_back(std::uint8_t(random.uniform(1, double(1 << format.bits))));
  const std::int64_t scales = format.sharing == Sharing::tensor ? 1 : n * groups_per_row(format, k);
  for (std::int64_t i = 0; i < scales; ++i) matrix.scales.push_back(float(random.uniform(0.001, 0.01)));
  return pack(matrix);
}

const QuantFormat kQ8{CodeKind::integer, 8, Sharing::channel, 0, false},
    kQ4{CodeKind::integer, 4, Sharing::tensor, 0, false};

/// Two convolutions (the second depthwise), a Relu and a pool between them, and two dense layers.
Model network() {
  Model model;
  model.name = "chain";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 9, 8}}};
  model.graph.outputs = {"y"};
  const auto conv = [](std::string name, std::string input, std::string output, std::int64_t group) {
    return Node{name,
                "Conv",
                {input, name + ".w", name + ".b"},
                {output},
                {{"group", group}, {"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}},
                {}};
  };
  model.graph.nodes = {conv("c1", "x", "a", 1),
                       {"relu", "Relu", {"a"}, {"b"}, {}, {}},
                       conv("c2", "b", "c", 8),
                       {"pool", "MaxPool", {"c"}, {"d"}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}, {}},
                       {"flat", "Flatten", {"d"}, {"e"}, {}, {}},
                       {"fc1", "Gemm", {"e", "fc1.w", "fc1.b"}, {"f"}, {{"transB", std::int64_t(1)}}, {}},
                       {"tanh", "Tanh", {"f"}, {"g"}, {}, {}},
                       {"fc2", "MatMul", {"g", "fc2.w"}, {"y"}, {}, {}}};
  model.weights.emplace("c1.w", random_weights(8, 27, kQ8, 1));
  model.weights.emplace("c2.w", random_weights(8, 9, kQ8, 2));
  model.weights.emplace("fc1.w", random_weights(12, 128, kQ4, 3));
  model.weights.emplace("fc2.w", random_weights(5, 12, kQ8, 4));
  model.weights.emplace("c1.b", random_tensor({8}, 5));
  model.weights.emplace("c2.b", random_tensor({8}, 6));
  model.weights.emplace("fc1.b", random_tensor({12}, 7));
  const std::pair<std::string_view, ActivationQuant> activations[] = {{"c1", {true, 8, 0.008f, -3}},
                                                                      {"c2", {true, 8, 0.011f, -128}},
                                                                      {"fc1", {true, 8, 0.02f, 0}},
                                                                      {"fc2", {true, 8, 0.008f, 0}}};
  for (const auto& [name, quant] : activations)
    for (Node& node : model.graph.nodes)
      if (node.name == name) node.activation = quant;
  return model;
}

Tensor codes_of(const Tensor& values, const ActivationQuant& quant) {
  Tensor codes(DType::i8, values.shape);
  const double low = quant.zero == 0 ? -127 : -128;
  for (std::int64_t i = 0; i < values.size(); ++i)
    codes.as<std::int8_t>()[std::size_t(i)] = std::int8_t(
        std::clamp(std::nearbyint(double(values.as<float>()[std::size_t(i)] / quant.scale)) + quant.zero, low, 127.0));
  return codes;
}

/// The sums of a layer by the integer operators, laid out as its result.
std::vector<std::int32_t> sums_of(const Model& model, const Node& node, const Tensor& input) {
  const auto& packed = std::get<PackedMatrix>(model.weights.at(node.inputs[1]));
  const std::vector<std::uint8_t> codes = unpack_codes(packed);
  const bool conv = node.op == "Conv";
  const Tensor x = codes_of(input, *node.activation);
  Tensor w(DType::i8, conv ? Shape{packed.n, packed.k / 9, 3, 3} : Shape{packed.k, packed.n}), zero(DType::i8, {});
  for (std::int64_t i = 0; i < packed.n; ++i)
    for (std::int64_t j = 0; j < packed.k; ++j)
      w.as<std::int8_t>()[std::size_t(conv ? i * packed.k + j : j * packed.n + i)] =
          std::int8_t(codes[std::size_t(i * packed.k + j)] - zero_of(packed, i, j));
  zero.as<std::int8_t>()[0] = std::int8_t(node.activation->zero);
  const Node integers{
      "i", conv ? "ConvInteger" : "MatMulInteger", {}, {"s"}, conv ? node.attributes : decltype(node.attributes){}, {}};
  const Tensor sums = evaluate_node(integers, 21, std::array<const Tensor*, 3>{&x, &w, &zero})[0];
  return {sums.as<std::int32_t>().begin(), sums.as<std::int32_t>().end()};
}

/// What the layer must give for `input`, in integers from end to end.
std::vector<float> wanted_of(const Model& model, const Node& node, const Tensor& input, std::int64_t positions) {
  const auto& packed = std::get<PackedMatrix>(model.weights.at(node.inputs[1]));
  const ResultQuant& quant = *node.result;
  std::vector<float> wanted;
  for (const std::int32_t sum : sums_of(model, node, input)) {
    const std::int64_t channel = std::ssize(wanted) / positions % packed.n;
    const double step =
        double(node.activation->scale) * double(packed.scales[std::size_t(packed.parameter_index(channel, 0))]);
    const double bias =
        node.inputs.size() > 2
            ? double(std::get<Tensor>(model.weights.at(node.inputs[2])).as<float>()[std::size_t(channel)])
            : 0.0;
    const std::int32_t biased = sum + std::int32_t(std::nearbyint(bias / step));
    const std::int32_t code =
        requantize(biased, fixed_multiplier(step / double(quant.scale)), quant.rounding) + quant.zero;
    wanted.push_back(float(std::clamp(code, quant.zero == 0 ? -127 : -128, 127) - quant.zero) * quant.scale);
  }
  return wanted;
}

TEST_CASE("layers whose readers share a grid exchange its codes, computed in integers only") {
  for (const Requantization rounding : {Requantization::double_rounding, Requantization::single_rounding}) {
    INFO(name_of(rounding));
    Model model = network();
    const FixedLayers layers = requantize_in_fixed_point(model, rounding);
    CHECK(layers.fixed == std::vector<std::string>{"c1", "c2"});
    REQUIRE(layers.left.size() == 2);
    CHECK(layers.left[0].second.find("'tanh'") != std::string::npos);
    CHECK(layers.left[1].second.find("leaves the graph") != std::string::npos);

    const Tensor x = random_tensor({3, 3, 9, 8}, 11);
    Executor executor(model, {.batch = 3});
    int checked = 0;
    executor.observe({.after = [&](const NodeEvent& event) {
      if (!event.what->result) return;
      ++checked;
      const Tensor& y = *event.outputs[0];
      const std::vector<float> wanted = wanted_of(model, *event.what, *event.inputs[0], y.shape[2] * y.shape[3]);
      CHECK(std::equal(wanted.begin(), wanted.end(), y.as<float>().begin(), y.as<float>().end()));
      // Not all alike, and not only the ends of the range.
      CHECK(std::set<float>(wanted.begin(), wanted.end()).size() > 50);
    }});
    executor.run(x);
    CHECK(checked == 2);
  }
}

TEST_CASE("requantized results are the same bits for every batch and thread count, with every kernel") {
  Model model = network();
  requantize_in_fixed_point(model, Requantization::double_rounding);
  const Tensor x = random_tensor({4, 3, 9, 8}, 12);
  Executor whole(model, {.batch = 4});
  const Tensor wanted = whole.run(x);
  for (const std::string kernel : {"best", "reference"}) {
    Executor other(model, {.kernel = kernel, .threads = 3, .batch = 4});
    const Tensor got = other.run(x);
    CHECK(std::ranges::equal(got.as<float>(), wanted.as<float>()));
  }
  Executor single(model, {.batch = 1});
  for (std::int64_t s = 0; s < 4; ++s) {
    const auto part = x.as<float>().subspan(std::size_t(s * 216), 216);
    const Tensor got = single.run(tensor_of({1, 3, 9, 8}, part));
    CHECK(std::ranges::equal(got.as<float>(), wanted.as<float>().subspan(std::size_t(s * 5), 5)));
  }
}

TEST_CASE("a dense layer requantizes too") {
  Model model = network();
  model.graph.nodes[6].op = "Relu";
  const FixedLayers layers = requantize_in_fixed_point(model, Requantization::double_rounding);
  CHECK(layers.fixed == std::vector<std::string>{"c1", "c2", "fc1"});
  Executor executor(model, {.batch = 2});
  executor.observe({.after = [&](const NodeEvent& event) {
    if (event.what->name != "fc1") return;
    const std::vector<float> wanted = wanted_of(model, *event.what, *event.inputs[0], 1);
    CHECK(std::equal(wanted.begin(), wanted.end(), event.outputs[0]->as<float>().begin()));
  }});
  executor.run(random_tensor({2, 3, 9, 8}, 13));
}

std::string fault_of(const Model& model) {
  try {
    const Executor executor(model, {});
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("what has no integer sums, or no static codes, is refused") {
  Model grouped = network();
  grouped.weights.insert_or_assign("fc1.w",
                                   random_weights(12, 128, {CodeKind::integer, 4, Sharing::group, 32, false}, 3));
  grouped.graph.nodes[5].result = ResultQuant{8, 0.1f, 0};
  CHECK(fault_of(grouped).find("q4g32") != std::string::npos);

  Model dynamic = network();
  dynamic.graph.nodes[5].activation = ActivationQuant{false, 8};
  dynamic.graph.nodes[5].result = ResultQuant{8, 0.1f, 0};
  CHECK(fault_of(dynamic).find("static") != std::string::npos);
  CHECK(requantize_in_fixed_point(dynamic, Requantization::double_rounding).fixed == std::vector<std::string>{"c1"});

  Model huge = network();
  huge.graph.nodes[0].result = ResultQuant{8, 1e-30f, 0};
  CHECK(fault_of(huge).find("2^30") != std::string::npos);

  Model wrong = network();
  wrong.graph.nodes[0].result = ResultQuant{8, 0.1f, 200};
  CHECK(fault_of(wrong).find("zero point 200") != std::string::npos);

  Model other = network();  // a second reader with another grid
  other.graph.nodes.push_back(
      {"c3", "Conv", {"b", "c3.w"}, {"z"}, {{"kernel_shape", Ints{1, 1}}}, ActivationQuant{true, 8, 0.02f, 0}});
  other.weights.emplace("c3.w", random_weights(4, 8, kQ8, 9));
  other.graph.outputs.push_back("z");
  const FixedLayers layers = requantize_in_fixed_point(other, Requantization::double_rounding);
  CHECK(layers.fixed == std::vector<std::string>{"c2"});
  CHECK(layers.left[0].second.find("otherwise") != std::string::npos);
}

}  // namespace
}  // namespace qb
