#include "models/graph.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/layer_edits.h"
#include "models/metrics.h"
#include "models/weight_matrix.h"

namespace qb {
namespace {

template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

Tensor random_tensor(Shape shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(low, high));
  return tensor;
}

/// Conv (2 groups) -> BatchNormalization -> Relu -> Flatten -> Gemm -> BatchNormalization.
Model small_model() {
  Model model;
  model.name = "small";
  model.graph.inputs = {{"x", DType::f32, {-1, 4, 5, 5}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"conv",
                        "Conv",
                        {"x", "conv.w", "conv.b"},
                        {"a"},
                        {{"group", std::int64_t(2)},
                         {"pads", std::vector<std::int64_t>{1, 1, 1, 1}},
                         {"kernel_shape", std::vector<std::int64_t>{3, 3}}},
                        {}},
                       {"norm", "BatchNormalization", {"a", "g1", "b1", "m1", "v1"}, {"b"}, {{"epsilon", 1e-3f}}, {}},
                       {"relu", "Relu", {"b"}, {"c"}, {}, {}},
                       {"flat", "Flatten", {"c"}, {"d"}, {}, {}},
                       {"gemm", "Gemm", {"d", "gemm.w"}, {"e"}, {}, {}},
                       {"norm2", "BatchNormalization", {"e", "g2", "b2", "m2", "v2"}, {"y"}, {}, {}}};
  model.weights.emplace("conv.w", random_tensor({6, 2, 3, 3}, 1));
  model.weights.emplace("conv.b", random_tensor({6}, 2));
  model.weights.emplace("gemm.w", random_tensor({150, 7}, 3));
  for (const auto& [suffix, n] : {std::pair{"1", std::int64_t(6)}, {"2", std::int64_t(7)}}) {
    model.weights.emplace(std::string("g") + suffix, random_tensor({n}, 4, 0.5, 2));
    model.weights.emplace(std::string("b") + suffix, random_tensor({n}, 5));
    model.weights.emplace(std::string("m") + suffix, random_tensor({n}, 6));
    model.weights.emplace(std::string("v") + suffix, random_tensor({n}, 7, 0.5, 2));
  }
  return model;
}

TEST_CASE("attributes are read by type") {
  Node node{"n", "Op", {}, {}, {}, {}};
  node.attributes = {
      {"i", std::int64_t(3)}, {"f", 0.5f}, {"t", std::string("word")}, {"l", std::vector<std::int64_t>{1, 2}}};
  CHECK(node.integer_or("i", 0) == 3);
  CHECK(node.integer_or("missing", 9) == 9);
  CHECK(node.number_or("f", 0) == 0.5f);
  CHECK(node.text_or("t", "") == "word");
  CHECK(node.integers_or("l", {}) == std::vector<std::int64_t>{1, 2});
  CHECK(refusal([&] { node.integer_or("f", 0); }) == "node 'n' (Op): attribute 'f' is a number but must be an integer");
  CHECK(refusal([&] { node.integers_or("t", {}); }) ==
        "node 'n' (Op): attribute 't' is a text but must be a list of integers");
}

TEST_CASE("a sound graph is accepted and every fault is named") {
  CHECK(refusal([] { check_graph(small_model()); }).empty());
  const auto fault = [](auto change) {
    Model model = small_model();
    change(model);
    return refusal([&] { check_graph(model); });
  };
  CHECK(fault([](Model& m) { m.graph.nodes[2].name = "conv"; }) == "model 'small': two nodes are named 'conv'");
  CHECK(fault([](Model& m) { m.graph.nodes[2].inputs[0] = "z"; }) ==
        "node 'relu' (Relu): its input 'z' is not defined before it");
  CHECK(fault([](Model& m) { std::swap(m.graph.nodes[2], m.graph.nodes[3]); }) ==
        "node 'flat' (Flatten): its input 'c' is not defined before it");
  CHECK(fault([](Model& m) { m.graph.nodes[2].outputs[0] = "a"; }) ==
        "node 'relu' (Relu): its output 'a' has already been defined");
  CHECK(fault([](Model& m) { m.graph.outputs = {"q"}; }) == "model 'small': the graph output 'q' is not defined");
  CHECK(fault([](Model& m) { m.graph.outputs.clear(); }) == "model 'small': the graph has no output");
  CHECK(fault([](Model& m) { m.graph.nodes[0].activation = ActivationQuant{}; }) ==
        "node 'conv' (Conv): activations can be quantized only where the weight is packed");
  const auto activation = [&](ActivationQuant quant) {
    return fault([&](Model& m) {
      const MatrixWeight which = matrix_weights(m)[0];
      const std::vector<float> rows = matrix_values(m, which);
      m.weights[which.weight] = pack_f32({rows.data(), which.n, which.k, which.k});
      m.graph.nodes[which.node].activation = quant;
    });
  };
  CHECK(activation({.group = 64}).empty());
  CHECK(activation({.group = 48}) ==
        "node 'conv' (Conv): dynamic activations with a scale per 48 columns are not known; dynamic ones per 32, 64, "
        "128, 256 are");
  CHECK(activation({.is_static = true, .group = 32}).find("static activations with a scale per 32 columns") !=
        std::string::npos);
  CHECK(fault([](Model& m) { m.weights["conv.b"] = PackedMatrix{}; }) ==
        "model 'small': the packed weight 'conv.b' must be the matrix of a Conv, Gemm or MatMul and nothing else");
}

TEST_CASE("a graph survives its JSON text") {
  Model model = small_model();
  Node& node = model.graph.nodes[2];
  node.attributes = {{"i", std::int64_t(-3)},
                     {"f", 0.1f},
                     {"whole", 2.0f},
                     {"inf", -std::numeric_limits<float>::infinity()},
                     {"t", std::string("w\"\\")},
                     {"l", std::vector<std::int64_t>{1, 2}},
                     {"empty", std::vector<std::int64_t>{}},
                     {"numbers", std::vector<float>{0.25f, 3.0f}},
                     {"tensor", random_tensor({2, 2}, 9)}};
  model.graph.nodes[0].activation = ActivationQuant{true, 8, 0.05f, -3};
  model.graph.nodes[0].result = ResultQuant{7, 0.1f, 9, Requantization::single_rounding};
  const std::string text = to_json_text(model.graph);
  const Graph back = graph_from_json(text, "test");
  CHECK(to_json_text(back) == text);
  CHECK(back.nodes[0].activation == model.graph.nodes[0].activation);
  model.graph.nodes[0].activation = ActivationQuant{.bits = 5, .group = 256};
  CHECK(graph_from_json(to_json_text(model.graph), "test").nodes[0].activation == model.graph.nodes[0].activation);
  CHECK(back.nodes[0].result == model.graph.nodes[0].result);
  CHECK(back.nodes[2].number_or("f", 0) == 0.1f);
  CHECK(back.nodes[2].number_or("whole", 0) == 2.0f);
  CHECK(back.nodes[2].number_or("inf", 0) == -std::numeric_limits<float>::infinity());
  CHECK(std::get<std::vector<std::int64_t>>(back.nodes[2].attributes.at("empty")).empty());
  CHECK(std::get<Tensor>(back.nodes[2].attributes.at("tensor")).as<float>()[3] ==
        std::get<Tensor>(node.attributes.at("tensor")).as<float>()[3]);
  CHECK(back.inputs[0].shape == Shape{-1, 4, 5, 5});
}

TEST_CASE("damaged graph texts are refused") {
  const std::string text = to_json_text(small_model().graph);
  for (std::size_t length = 0; length < text.size(); ++length) {
    INFO(length);
    CHECK(!refusal([&] { graph_from_json(text.substr(0, length), "test"); }).empty());
  }
  const auto damaged = [&](const std::string& what, const std::string& by) {
    std::string copy = text;
    const std::size_t at = copy.find(what);
    REQUIRE(at != std::string::npos);
    return refusal([&] { graph_from_json(copy.replace(at, what.size(), by), "test"); });
  };
  CHECK(damaged("\"opset\"", "\"opsets\"") != "");
  CHECK(damaged("\"integer\"", "\"whole\"").find("attribute 'group'") != std::string::npos);
  CHECK(damaged("\"f32\"", "\"f33\"").find("'f33' is not an element type") != std::string::npos);
  CHECK(damaged("-1,", "-2,").find("negative extent") != std::string::npos);
}

TEST_CASE("matrix weights are listed once, as rows of outputs") {
  Model model = small_model();
  const std::vector<MatrixWeight> weights = matrix_weights(model);
  REQUIRE(weights.size() == 2);
  CHECK(weights[0].weight == "conv.w");
  CHECK(weights[0].n == 6);
  CHECK(weights[0].k == 18);
  CHECK(weights[0].groups == 2);
  CHECK(weights[1].n == 7);
  CHECK(weights[1].k == 150);
  CHECK(weights[1].transposed);
  const std::vector<float> rows = matrix_values(model, weights[1]);
  const std::span<const float> tensor = std::get<Tensor>(model.weights.at("gemm.w")).as<float>();
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 150; ++j) REQUIRE(rows[i * 150 + j] == tensor[j * 7 + i]);

  // A second user in the same role is a second use of one weight; one in another role takes the weight off the list.
  Model shared = model;
  shared.graph.nodes.push_back({"again", "Gemm", {"d", "gemm.w"}, {"z"}, {}, {}});
  CHECK(matrix_weights(shared).size() == 2);
  CHECK(matrix_uses(shared).size() == 3);
  shared.graph.nodes.back().op = "Gather";
  shared.graph.nodes.back().inputs = {"gemm.w", "d"};
  CHECK(matrix_weights(shared).size() == 1);
  model.graph.nodes[4].attributes["alpha"] = 2.0f;
  CHECK(matrix_weights(model).size() == 1);
}

TEST_CASE("folding batch normalization keeps what the model computes") {
  const Model model = small_model();
  Model folded = model;
  CHECK(fold_batch_norm(folded) == 2);
  CHECK(folded.graph.nodes.size() == 4);
  CHECK(!folded.weights.contains("v1"));
  CHECK(refusal([&] { check_graph(folded); }).empty());
  const Tensor x = random_tensor({3, 4, 5, 5}, 11);
  Executor a(model, {.batch = 3}), b(folded, {.batch = 3});
  // Each weight is rounded once more: about 2^-24 of it, 140 dB below the signal.
  CHECK(sqnr_db(a.run(x).as<float>(), b.run(x).as<float>()) > 120);

  Model read_twice = model;
  read_twice.graph.nodes.push_back({"other", "Relu", {"a"}, {"z"}, {}, {}});
  CHECK(fold_batch_norm(read_twice) == 1);
  Model is_output = model;
  is_output.graph.outputs.push_back("a");
  CHECK(fold_batch_norm(is_output) == 1);
}

TEST_CASE("results are shifted in a bias, a new one, or a constant added behind a MatMul; elsewhere nothing changes") {
  Model model;
  model.graph.inputs = {{"x", DType::f32, {-1, 4}}};
  model.graph.outputs = {"y", "z"};
  model.graph.nodes = {
      {"gemm", "Gemm", {"x", "w1"}, {"a"}, {}, {}},     {"product", "MatMul", {"a", "w2"}, {"b"}, {}, {}},
      {"sum", "Add", {"shared", "b"}, {"y"}, {}, {}},   {"other", "MatMul", {"a", "w3"}, {"c"}, {}, {}},
      {"again", "Add", {"c", "shared"}, {"d"}, {}, {}}, {"last", "MatMul", {"d", "w4"}, {"z"}, {}, {}}};
  model.weights.emplace("w1", random_tensor({4, 5}, 1));
  model.weights.emplace("w2", random_tensor({5, 3}, 2));
  model.weights.emplace("w3", random_tensor({5, 3}, 3));
  model.weights.emplace("w4", random_tensor({3, 2}, 4));
  model.weights.emplace("shared", random_tensor({1, 3}, 5));
  const Tensor x = random_tensor({2, 4}, 6);
  const auto outputs = [&](const Model& which) {
    Executor executor(which, {.batch = 2});
    executor.run(x);
    std::vector<float> all;
    for (const Tensor& output : executor.outputs())
      all.insert(all.end(), output.as<float>().begin(), output.as<float>().end());
    return all;
  };
  const std::vector<float> before = outputs(model);
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  REQUIRE(layers.size() == 4);
  Model shifted = model;
  CHECK(shift_results(shifted, layers[1], std::vector<double>{1, 2, 4}));
  CHECK(shifted.weights.contains("shared"));  // the other sum still reads it
  const std::vector<float> after = outputs(shifted);
  for (std::size_t i = 0; i < 10; ++i) {
    const float wanted = i < 6 ? before[i] + float(1 << i % 3) : before[i];
    CHECK(after[i] == doctest::Approx(wanted).epsilon(1e-5));
  }
  Model undone = model;
  CHECK(shift_results(undone, layers[0], std::vector<double>(5, 0.5)));
  CHECK(shift_results(undone, layers[0], std::vector<double>(5, -0.5)));
  CHECK(undone.graph.nodes[0].inputs.size() == 3);
  CHECK(outputs(undone) == before);
  Model same = model;
  CHECK_FALSE(shift_results(same, layers[3], std::vector<double>{1, 1}));
  CHECK(outputs(same) == before);
}

}  // namespace
}  // namespace qb
