#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/random.h"
#include "quantizers/training/layers.h"
#include "quantizers/training/loss.h"
#include "quantizers/training/product.h"
#include "quantizers/training/tape.h"

namespace qb {
namespace {

std::vector<float> random_values(std::size_t count, Random& random) {
  std::vector<float> values(count);
  for (float& value : values) value = float(random.uniform(-1, 1));
  return values;
}

Node node_of(const std::string& op, std::size_t inputs, std::map<std::string, Attribute, std::less<>> attributes) {
  Node node;
  node.name = node.op = op;
  for (std::size_t i = 0; i < inputs; ++i) node.inputs.push_back("input" + std::to_string(i));
  node.outputs = {"output"};
  node.attributes = std::move(attributes);
  return node;
}

/// One operator on its own: sum over its output of weights[i] * output[i], as a function of its inputs.
struct OperatorCase {
  Node node;
  std::vector<Tensor> inputs;
  std::vector<float> weights;

  OperatorCase(Node what, const std::vector<Shape>& shapes, Random& random) : node(std::move(what)) {
    for (const Shape& shape : shapes) {
      Tensor& tensor = inputs.emplace_back(DType::f32, shape);
      std::ranges::copy(random_values(std::size_t(tensor.size()), random), tensor.as<float>().begin());
    }
    weights = random_values(std::size_t(element_count(training_op(node).shape(node, shapes))), random);
  }
  std::vector<const Tensor*> operands() const {
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : inputs) pointers.push_back(&input);
    return pointers;
  }
  Tensor output() const {
    std::vector<Shape> shapes;
    for (const Tensor& input : inputs) shapes.push_back(input.shape);
    LayerScratch scratch;
    Tensor result(DType::f32, training_op(node).shape(node, shapes));
    std::ranges::fill(result.as<float>(), 99.0f);
    training_op(node).forward({node, operands(), scratch}, result);
    return result;
  }
  double value() const {
    const Tensor result = output();
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) sum += double(weights[i]) * double(result.as<float>()[i]);
    return sum;
  }
  std::vector<Tensor> gradients() const {
    const Tensor result = output();
    const Tensor output_gradient = tensor_of(result.shape, weights);
    std::vector<Tensor> found;
    for (const Tensor& input : inputs) found.emplace_back(DType::f32, input.shape);
    std::vector<Tensor*> pointers;
    for (Tensor& gradient : found) pointers.push_back(&gradient);
    LayerScratch scratch;
    training_op(node).backward({node, operands(), scratch}, result, output_gradient, pointers);
    return found;
  }
};

std::vector<OperatorCase> operator_cases() {
  using Integers = std::vector<std::int64_t>;
  Random random(5);
  std::vector<OperatorCase> cases;
  cases.emplace_back(node_of("Gemm", 3, {{"transB", std::int64_t(1)}}), std::vector<Shape>{{5, 7}, {3, 7}, {3}},
                     random);
  cases.emplace_back(node_of("Gemm", 2, {{"transB", std::int64_t(1)}}), std::vector<Shape>{{2, 3}, {18, 3}}, random);
  cases.emplace_back(node_of("Conv", 3, {{"pads", Integers{1, 1, 1, 1}}}),
                     std::vector<Shape>{{2, 3, 5, 4}, {4, 3, 3, 3}, {4}}, random);
  cases.emplace_back(node_of("Conv", 2, {{"strides", Integers{2, 3}}, {"pads", Integers{2, 0, 1, 3}}}),
                     std::vector<Shape>{{1, 2, 6, 7}, {3, 2, 3, 2}}, random);
  cases.emplace_back(node_of("Conv", 3, {{"pads", Integers{3, 3, 3, 3}}}),
                     std::vector<Shape>{{1, 1, 2, 2}, {1, 1, 5, 5}, {1}}, random);
  cases.emplace_back(node_of("MaxPool", 1, {{"kernel_shape", Integers{2, 2}}, {"strides", Integers{2, 2}}}),
                     std::vector<Shape>{{2, 2, 5, 4}}, random);
  cases.emplace_back(node_of("MaxPool", 1, {{"kernel_shape", Integers{3, 2}}}), std::vector<Shape>{{1, 1, 4, 4}},
                     random);
  cases.emplace_back(node_of("Relu", 1, {}), std::vector<Shape>{{3, 8}}, random);
  cases.emplace_back(node_of("Flatten", 1, {}), std::vector<Shape>{{2, 2, 3, 1}}, random);
  return cases;
}

}  // namespace

TEST_CASE("every variant of the product gives the same bits on awkward shapes") {
  Random random(1);
  for (const auto& [m, n, k] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {3, 17, 5}, {4, 16, 64}, {6, 15, 9}, {5, 40, 33}, {13, 8, 2}}) {
    for (const bool turned : {false, true}) {
      CAPTURE(m);
      CAPTURE(n);
      CAPTURE(k);
      const std::int64_t stride = n + 3;
      const std::vector<float> a = random_values(std::size_t(m * k), random),
                               b = random_values(std::size_t(k * stride), random);
      std::vector<float> wanted = random_values(std::size_t(m * stride), random), got = wanted;
      std::vector<float> defined = wanted;
      ProductArgs args = {.m = m,
                          .n = n,
                          .k = k,
                          .a = a.data(),
                          .a_row = turned ? 1 : k,
                          .a_column = turned ? m : 1,
                          .b = b.data(),
                          .b_row = stride,
                          .c = wanted.data(),
                          .c_row = stride};
      add_product_ref(args);
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t p = 0; p < k; ++p)
          for (std::int64_t j = 0; j < n; ++j)
            defined[std::size_t(i * stride + j)] +=
                a[std::size_t(turned ? p * m + i : i * k + p)] * b[std::size_t(p * stride + j)];
      CHECK(wanted == defined);
      args.c = got.data();
      add_product(args);
      CHECK(got == wanted);
    }
  }
}

TEST_CASE("gradients agree with finite differences") {
  // Each operator is linear in every single element while no largest element changes, so that a central difference is
  // exact but for rounding: about 2^-24 * 50 terms of the value, divided by the step.
  constexpr double kStep = 1.0 / 1024, kTolerance = 0x1p-24 * 50 / kStep;
  for (OperatorCase& c : operator_cases()) {
    const std::vector<Tensor> gradients = c.gradients();
    for (std::size_t which = 0; which < c.inputs.size(); ++which) {
      for (std::size_t i = 0; i < c.inputs[which].as<float>().size(); ++i) {
        float& element = c.inputs[which].as<float>()[i];
        const float before = element;
        const float up = before + float(kStep), down = before - float(kStep);
        element = up;
        const double above = c.value();
        element = down;
        const double below = c.value();
        element = before;
        const double difference = (above - below) / (double(up) - double(down));
        INFO(c.node.op, " input ", which, " element ", i);
        CHECK(std::abs(difference - double(gradients[which].as<float>()[i])) < kTolerance);
      }
    }
  }
}

TEST_CASE("a convolution computes its definition") {
  for (const OperatorCase& c : operator_cases()) {
    if (c.node.op != "Conv") continue;
    const std::vector<std::int64_t> pads = c.node.integers_or("pads", {}),
                                    strides = c.node.integers_or("strides", {1, 1});
    const Tensor &x = c.inputs[0], &w = c.inputs[1], y = c.output();
    const auto at = [](const Tensor& t, std::int64_t a, std::int64_t b, std::int64_t row, std::int64_t column) {
      const bool inside = row >= 0 && row < t.shape[2] && column >= 0 && column < t.shape[3];
      return inside
                 ? double(t.as<float>()[std::size_t(((a * t.shape[1] + b) * t.shape[2] + row) * t.shape[3] + column)])
                 : 0.0;
    };
    for (std::int64_t n = 0; n < y.shape[0]; ++n)
      for (std::int64_t f = 0; f < y.shape[1]; ++f)
        for (std::int64_t row = 0; row < y.shape[2]; ++row)
          for (std::int64_t column = 0; column < y.shape[3]; ++column) {
            double sum = c.inputs.size() > 2 ? double(c.inputs[2].as<float>()[std::size_t(f)]) : 0.0;
            for (std::int64_t channel = 0; channel < w.shape[1]; ++channel)
              for (std::int64_t i = 0; i < w.shape[2]; ++i)
                for (std::int64_t j = 0; j < w.shape[3]; ++j)
                  sum += at(w, f, channel, i, j) *
                         at(x, n, channel, row * strides[0] + i - pads[0], column * strides[1] + j - pads[1]);
            // At most 28 products of size one, each rounded twice.
            CHECK(std::abs(at(y, n, f, row, column) - sum) < 56 * 0x1p-24);
          }
  }
}

TEST_CASE("two layers by hand") {
  // x = (1, 2); h = relu(W1 x + b1) with W1 = ((1, 1), (-1, 0)), b1 = (0.5, 0): h = (3.5, 0);
  // y = W2 h + b2 with W2 = ((2, 4)), b2 = (-1): y = 6. With dy = 1: dW2 = h, dh = (2, 4), and the relu lets only the
  // first by.
  Graph graph;
  graph.inputs = {{"x", DType::f32, {-1, 2}}};
  graph.outputs = {"y"};
  const auto dense = [](const std::string& name, const std::string& from, const std::string& to) {
    Node node = node_of("Gemm", 0, {{"transB", std::int64_t(1)}});
    node.name = name;
    node.inputs = {from, name + ".w", name + ".b"};
    node.outputs = {to};
    return node;
  };
  Node relu = node_of("Relu", 0, {});
  relu.inputs = {"a"};
  relu.outputs = {"h"};
  graph.nodes = {dense("first", "x", "a"), relu, dense("second", "h", "y")};
  TensorMap parameters;
  parameters.emplace("first.w", tensor_of({2, 2}, std::array{1.0f, 1.0f, -1.0f, 0.0f}));
  parameters.emplace("first.b", tensor_of({2}, std::array{0.5f, 0.0f}));
  parameters.emplace("second.w", tensor_of({1, 2}, std::array{2.0f, 4.0f}));
  parameters.emplace("second.b", tensor_of({1}, std::array{-1.0f}));

  Tape tape(graph, parameters, 1);
  CHECK(tape.forward(parameters, std::array{1.0f, 2.0f}).as<float>()[0] == 6.0f);
  TensorMap gradients = zeros_like(parameters);
  tape.backward(parameters, std::array{1.0f}, gradients);
  const auto values = [&](const char* name) {
    const std::span<const float> all = gradients.find(name)->second.as<float>();
    return std::vector<float>(all.begin(), all.end());
  };
  CHECK(values("second.w") == std::vector{3.5f, 0.0f});
  CHECK(values("second.b") == std::vector{1.0f});
  CHECK(values("first.w") == std::vector{2.0f, 4.0f, 0.0f, 0.0f});
  CHECK(values("first.b") == std::vector{2.0f, 0.0f});
}

TEST_CASE("cross-entropy of known probabilities, and its gradient") {
  const std::vector<float> logits = {0.0f, float(std::log(3.0)), 5.0f, 5.0f};  // shares 1/4 3/4, 1/2 1/2
  const std::vector<std::int32_t> targets = {0, 1};
  std::vector<float> gradient(4);
  const LossSum sum = softmax_cross_entropy(logits, targets, 0.5, gradient);
  // The logit ln 3 is a float32: 4e-8 of it.
  CHECK(sum.nats == doctest::Approx(std::log(4.0) + std::log(2.0)).epsilon(1e-7));
  CHECK(sum.correct == 0);  // the tie goes to the lower class
  const std::array wanted = {-0.375, 0.375, 0.25, -0.25};
  for (std::size_t i = 0; i < 4; ++i) CHECK(double(gradient[i]) == doctest::Approx(wanted[i]).epsilon(1e-6));
  CHECK(std::isfinite(softmax_cross_entropy(std::vector{1e30f, -1e30f}, std::vector{1}, 1.0, {}).nats));
}

TEST_CASE("what cannot be trained is refused by name") {
  TensorMap parameters;
  parameters.emplace("w", Tensor(DType::f32, {3, 4}));
  Graph graph;
  graph.inputs = {{"x", DType::f32, {-1, 4}}};
  graph.outputs = {"y"};
  Node node = node_of("Gemm", 0, {});
  node.inputs = {"x", "w"};
  node.outputs = {"y"};
  graph.nodes = {node};
  CHECK_THROWS_WITH_AS(Tape(graph, parameters, 1), doctest::Contains("transB = 1"), DataError);
  graph.nodes[0].attributes = {{"transB", std::int64_t(1)}};
  CHECK_NOTHROW(Tape(graph, parameters, 1));
  graph.nodes[0].inputs[1] = "v";
  CHECK_THROWS_WITH_AS(Tape(graph, parameters, 1), doctest::Contains("'v'"), DataError);
  graph.nodes[0].op = "Sigmoid";
  CHECK_THROWS_WITH_AS(Tape(graph, parameters, 1), doctest::Contains("Sigmoid"), DataError);
}

}  // namespace qb
