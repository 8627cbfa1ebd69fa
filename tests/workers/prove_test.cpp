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

}  // namespace

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
