// Proofs of networks with convolutions: right kernels pass without error, a wrong one is named with its node.
#include "workers/prove.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/random.h"
#include "models/weight_matrix.h"

namespace qb {
namespace {

using Ints = std::vector<std::int64_t>;

Tensor random_tensor(Shape shape, std::uint64_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(-1, 1));
  return tensor;
}

/// A dense, a depthwise, a grouped and a pointwise convolution; 8-bit weights and activations unless `in_float`.
Model network(bool in_float, bool is_static) {
  Model model;
  model.name = "network";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 9, 7}}};
  model.graph.outputs = {"y"};
  const auto conv = [](std::string name, std::string input, std::string output, std::int64_t group, Ints kernel,
                       Ints pads) {
    return Node{name,
                "Conv",
                {input, name + ".w", name + ".b"},
                {output},
                {{"group", group}, {"kernel_shape", kernel}, {"pads", pads}},
                {}};
  };
  model.graph.nodes = {
      conv("dense", "x", "a", 1, {3, 3}, {1, 1, 1, 1}), conv("depthwise", "a", "b", 8, {3, 3}, {1, 1, 1, 1}),
      conv("grouped", "b", "c", 2, {3, 2}, {0, 0, 1, 1}), conv("pointwise", "c", "y", 1, {1, 1}, {0, 0, 0, 0})};
  const std::pair<std::string, Shape> shapes[] = {
      {"dense", {8, 3, 3, 3}}, {"depthwise", {16, 1, 3, 3}}, {"grouped", {6, 8, 3, 2}}, {"pointwise", {5, 6, 1, 1}}};
  for (const auto& [name, shape] : shapes) {
    model.weights.emplace(name + ".w", random_tensor(shape, 1));
    model.weights.emplace(name + ".b", random_tensor({shape[0]}, 2));
  }
  for (const MatrixWeight& which : in_float ? std::vector<MatrixWeight>() : matrix_weights(model)) {
    UnpackedMatrix matrix;
    matrix.format = parse_quant_format("q8c");
    matrix.n = which.n;
    matrix.k = which.k;
    matrix.scales.assign(std::size_t(which.n), 1.0f / 127);
    for (const float value : matrix_values(model, which))
      matrix.codes.push_back(std::uint8_t(std::nearbyint(value * 127) + 128));
    model.weights[which.weight] = pack(matrix);
    model.graph.nodes[which.node].activation = ActivationQuant{is_static, 8, 0.02f, is_static ? 3 : 0};
  }
  return model;
}

Dataset samples() {
  Dataset data;
  data.inputs = random_tensor({4, 3, 9, 7}, 3);
  data.targets = {0, 1, 2, 3};
  data.classes = 5;
  return data;
}

Proof proof_of(const Model& model, const std::string& kernel, int threads = 1) {
  const ExecutorOptions options{.kernel = kernel, .threads = threads, .batch = 2};
  Executor executor(model, options);
  return prove(executor, model, options, samples());
}

Tensor one_code(DType type, int value) {
  Tensor tensor(type, {1});
  tensor.bytes.as<std::uint8_t>()[0] = std::uint8_t(value);
  return tensor;
}

Tensor one_scale(float scale) { return tensor_of({1}, std::vector<float>{scale}); }

/// Codes between its two ends, as other tools write such networks: a dense, a depthwise and a matrix product. The dense
/// one is divided: its weights are too large for sums in float32.
Model network_of_codes() {
  Model model;
  model.name = "codes";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 9, 7}}};
  model.graph.outputs = {"y"};
  model.weights = {{"x_scale", one_scale(0.01f)},
                   {"zero", one_code(DType::u8, 20)},
                   {"w_scale", one_scale(0.01f)},
                   {"w_zero", one_code(DType::i8, -100)},
                   {"y_scale", one_scale(0.5f)}};
  Tensor rows(DType::i64, {2});
  rows.as<std::int64_t>()[0] = 0;
  rows.as<std::int64_t>()[1] = -1;
  model.weights.emplace("rows", std::move(rows));
  const std::pair<std::string, Shape> shapes[] = {
      {"first", {96, 3, 3, 3}}, {"dense", {8, 96, 3, 3}}, {"depthwise", {8, 1, 3, 3}}, {"matrix", {8 * 63, 5}}};
  Random random(7);
  for (const auto& [name, shape] : shapes) {
    Tensor codes(DType::i8, shape);
    for (std::int8_t& code : codes.as<std::int8_t>()) code = std::int8_t(random.below(256));
    model.weights.emplace(name + ".w", std::move(codes));
  }
  const auto linear = [](std::string name, std::string op, std::string x, std::string y, std::int64_t group) {
    std::map<std::string, Attribute, std::less<>> attributes;
    if (op == "QLinearConv") attributes = {{"group", group}, {"pads", Ints{1, 1, 1, 1}}};
    return Node{name, op,         {x, "x_scale", "zero", name + ".w", "w_scale", "w_zero", "y_scale", "zero"},
                {y},  attributes, {}};
  };
  model.graph.nodes = {{"in", "QuantizeLinear", {"x", "x_scale", "zero"}, {"a"}, {}, {}},
                       linear("first", "QLinearConv", "a", "b", 1),
                       linear("dense", "QLinearConv", "b", "c", 1),
                       linear("depthwise", "QLinearConv", "c", "d", 8),
                       {"flat", "Reshape", {"d", "rows"}, {"e"}, {}, {}},
                       linear("matrix", "QLinearMatMul", "e", "f", 1),
                       {"out", "DequantizeLinear", {"f", "y_scale", "zero"}, {"y"}, {}, {}}};
  return model;
}

}  // namespace

TEST_CASE("kernels of a network of codes are proven like those of layers, and a wrong one is found") {
  const Model model = network_of_codes();
  for (const int threads : {1, 2}) {
    const Proof proof = proof_of(model, "best", threads);
    CHECK(proof.failed == "");
    CHECK(proof.mistrusted == "");
    CHECK(proof.repeatable);
    CHECK(proof.layers.size() == 5);  // the dense one has two pieces
    for (const LayerProof& layer : proof.layers) CHECK((layer.error == 0 && layer.bound == 0));
    CHECK(proof.operations == 2 * 2 * (63 * 96 * 27 + 63 * 8 * 864 + 63 * 8 * 9 + 5 * 504));
  }
  CHECK(proof_of(model, "gemm_s8_q8_faulty").failed.find("gemm_s8_q8_faulty") != std::string::npos);
  CHECK(proof_of(model, "depthwise_s8_q8_faulty").failed.find("node 'depthwise'") != std::string::npos);
}

TEST_CASE("every layer of a network with convolutions is proven, integers without any error") {
  for (const bool in_float : {true, false})
    for (const bool is_static : {false, true})
      for (const int threads : {1, 2}) {
        const Proof proof = proof_of(network(in_float, is_static), "best", threads);
        CHECK(proof.failed == "");
        CHECK(proof.mistrusted == "");
        CHECK(proof.repeatable);
        REQUIRE(proof.layers.size() == 4);
        for (const LayerProof& layer : proof.layers) {
          CHECK(layer.error <= layer.bound);
          if (!in_float) CHECK(layer.bound == 0);
        }
        // 2 per multiply-add of a batch of two: positions, results per position, products per result.
        CHECK(proof.operations == 2 * 2 * (63 * 8 * 27 + 63 * 16 * 9 + 56 * 6 * 48 + 56 * 5 * 6));
      }
}

TEST_CASE("products with activations in groups are proven") {
  Model model;
  model.name = "groups";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 9, 7}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"flat", "Flatten", {"x"}, {"a"}, {}, {}}, {"product", "MatMul", {"a", "w"}, {"y"}, {}, {}}};
  model.weights.emplace("w", random_tensor({189, 40}, 1));
  const MatrixWeight which = matrix_weights(model)[0];
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q4g32");
  matrix.n = which.n;
  matrix.k = which.k;
  matrix.scales.assign(std::size_t(which.n * 6), 1.0f / 7);
  for (const float value : matrix_values(model, which))
    matrix.codes.push_back(std::uint8_t(std::nearbyint(value * 7) + 8));
  model.weights[which.weight] = pack(matrix);
  model.graph.nodes[which.node].activation = ActivationQuant{.group = 32};
  for (const int threads : {1, 2}) {
    const Proof proof = proof_of(model, "best", threads);
    CHECK(proof.failed == "");
    CHECK(proof.mistrusted == "");
    CHECK(proof.repeatable);
    REQUIRE(proof.layers.size() == 1);
    CHECK((proof.layers[0].error == 0 && proof.layers[0].bound == 0));
  }
}

TEST_CASE("a wrong kernel of a convolution is found, with its node") {
  const struct {
    const char *kernel, *node;
    bool in_float;
  } cases[] = {{"depthwise_f32_f32_faulty", "depthwise", true},
               {"depthwise_s8_q8_faulty", "depthwise", false},
               {"gemm_f32_f32_faulty", "node '", true},
               {"gemm_s8_q8_faulty", "node '", false}};
  for (const auto& [kernel, node, in_float] : cases) {
    const Proof proof = proof_of(network(in_float, false), kernel);
    INFO(kernel, ": ", proof.failed);
    CHECK(proof.failed.find(kernel) != std::string::npos);
    CHECK(proof.failed.find(node) != std::string::npos);
  }
}

}  // namespace qb
