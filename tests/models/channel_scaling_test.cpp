#include "models/channel_scaling.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/metrics.h"

namespace qb {
namespace {

Tensor random_tensor(Shape shape, std::uint64_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(-1, 1));
  return tensor;
}

Attribute ints(std::vector<std::int64_t> values) { return values; }

/// Conv (2 groups) + Add by channel -> Relu -> depthwise Conv -> MaxPool -> Flatten -> Gemm -> LayerNormalization ->
/// MatMul + Add -> LeakyRelu -> Mul by channel -> Gemm, whose input a second Gemm reads too.
Model long_model() {
  Model model;
  model.name = "long";
  model.graph.inputs = {{"x", DType::f32, {-1, 4, 6, 6}}};
  model.graph.outputs = {"y", "z"};
  model.graph.nodes = {
      {"conv", "Conv", {"x", "conv.w"}, {"a"}, {{"group", std::int64_t(2)}, {"pads", ints({1, 1, 1, 1})}}, {}},
      {"planes", "Add", {"plane", "a"}, {"b"}, {}, {}},
      {"relu", "Relu", {"b"}, {"c"}, {}, {}},
      {"depth", "Conv", {"c", "depth.w", "depth.b"}, {"d"}, {{"group", std::int64_t(6)}}, {}},
      {"pool", "MaxPool", {"d"}, {"e"}, {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}}, {}},
      {"flat", "Flatten", {"e"}, {"f"}, {}, {}},
      {"gemm", "Gemm", {"f", "gemm.w", "gemm.b"}, {"g"}, {{"transB", std::int64_t(1)}}, {}},
      {"norm", "LayerNormalization", {"g", "gain", "beta"}, {"h"}, {}, {}},
      {"product", "MatMul", {"h", "product.w"}, {"i"}, {}, {}},
      {"sum", "Add", {"i", "offset"}, {"j"}, {}, {}},
      {"leaky", "LeakyRelu", {"j"}, {"k"}, {}, {}},
      {"gain", "Mul", {"k", "gains"}, {"l"}, {}, {}},
      {"last", "Gemm", {"l", "last.w"}, {"y"}, {}, {}},
      {"other", "Gemm", {"l", "other.w"}, {"z"}, {}, {}}};
  const std::vector<std::pair<const char*, Shape>> weights = {{"conv.w", {6, 2, 3, 3}},
                                                              {"plane", {6, 1, 1}},
                                                              {"depth.w", {6, 1, 3, 3}},
                                                              {"depth.b", {6}},
                                                              {"gemm.w", {7, 24}},
                                                              {"gemm.b", {7}},
                                                              {"gain", {7}},
                                                              {"beta", {7}},
                                                              {"offset", {1, 5}},
                                                              {"product.w", {7, 5}},
                                                              {"gains", {5}},
                                                              {"last.w", {5, 3}},
                                                              {"other.w", {5, 2}}};
  std::uint64_t seed = 1;
  for (const auto& [name, shape] : weights) model.weights.emplace(name, random_tensor(shape, seed++));
  return model;
}

std::vector<float> results(const Model& model) {
  Executor executor(model, {.batch = 3});
  executor.run(random_tensor({3, 4, 6, 6}, 99));
  std::vector<float> all;
  for (const Tensor& output : executor.outputs())
    all.insert(all.end(), output.as<float>().begin(), output.as<float>().end());
  return all;
}

struct Expected {
  const char* node;
  std::int64_t channels, columns;
  const char* source;  ///< node that takes the factors; "" for a Mul
};

TEST_CASE("channels that enter a layer are scaled at their source, or by a Mul, and results stay") {
  const std::vector<Expected> wanted = {{"conv", 4, 9, ""},        {"depth", 6, 9, "conv"}, {"gemm", 6, 4, "depth"},
                                        {"product", 7, 1, "norm"}, {"last", 5, 1, ""},      {"other", 5, 1, ""}};
  const Model model = long_model();
  const std::vector<float> before = results(model);
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  REQUIRE(layers.size() == wanted.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CAPTURE(wanted[i].node);
    CHECK(model.graph.nodes[layers[i].node].name == wanted[i].node);
    const auto input = input_channels(model, layers[i]);
    REQUIRE(input);
    CHECK(input->channels == wanted[i].channels);
    CHECK(input->columns == wanted[i].columns);
    std::vector<double> factor;
    Random random(i);
    for (std::int64_t c = 0; c < input->channels; ++c) factor.push_back(std::exp(random.uniform(-2, 2)));
    const std::vector<double> largest = largest_weights(model, *input);

    Model scaled = model;
    const bool absorbed = scale_channels(scaled, *input, factor);
    CHECK(absorbed == (wanted[i].source[0] != '\0'));
    CHECK(scaled.graph.nodes.size() == model.graph.nodes.size() + (absorbed ? 0 : 1));
    CHECK_NOTHROW(check_graph(scaled));
    // A few roundings of 2^-24 each.
    CHECK(sqnr_db(before, results(scaled)) > 120);
    const auto again = input_channels(scaled, matrix_weights(scaled)[i]);
    REQUIRE(again);
    const std::vector<double> grown = largest_weights(scaled, *again);
    for (std::size_t c = 0; c < factor.size() && again->channels == input->channels; ++c)
      CHECK(grown[c] == doctest::Approx(largest[c] * factor[c]).epsilon(1e-5));
    if (!absorbed) continue;
    const std::size_t source =
        input->source->layer ? input->source->layer->node : input->source->constants.front().node;
    CHECK(model.graph.nodes[source].name == wanted[i].source);
  }
}

TEST_CASE("a second scaling multiplies into the first one's constant") {
  Model model = long_model();
  const std::vector<float> before = results(model);
  for (int round = 0; round < 2; ++round) {
    const auto input = input_channels(model, matrix_weights(model)[4]);
    REQUIRE(input);
    CHECK(scale_channels(model, *input, std::vector<double>(5, 3.0)) == (round == 1));
  }
  CHECK(model.graph.nodes.size() == long_model().graph.nodes.size() + 1);
  CHECK(sqnr_db(before, results(model)) > 120);
}

TEST_CASE("layers whose weight another node reads, and packed ones, have no channels to scale") {
  Model model = long_model();
  model.graph.nodes.push_back({"again", "Gemm", {"l", "last.w"}, {"more"}, {}, {}});
  model.graph.outputs.emplace_back("more");
  CHECK_FALSE(input_channels(model, matrix_weights(model)[4]));
}

}  // namespace
}  // namespace qb
