#include "quantizers/bit_allocation.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/metrics.h"
#include "quantizers/quantizer.h"

namespace qb {
namespace {

using Choices = std::vector<std::vector<StorageChoice>>;

/// Calls visit(bytes, error) for every combination.
template <class Visit>
void every_combination(const Choices& layers, std::size_t layer, std::int64_t bytes, double error, const Visit& visit) {
  if (layer == layers.size()) return visit(bytes, error);
  for (const StorageChoice& choice : layers[layer])
    every_combination(layers, layer + 1, bytes + choice.bytes, error + choice.error, visit);
}

Choices random_choices(Random& random) {
  Choices layers(1 + random.below(5));
  for (std::vector<StorageChoice>& layer : layers)
    for (std::uint64_t count = 1 + random.below(5); count > 0; --count)
      layer.push_back({std::int64_t(random.below(1000)), random.uniform(0, 1)});
  return layers;
}

Tensor random_tensor(Shape shape, std::uint64_t seed, double scale) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(scale * random.normal());
  return tensor;
}

/// Three dense layers; the middle one's results are added with a weight of 1/1000, so that it hardly matters.
Model lopsided_model() {
  Model model;
  model.name = "lopsided";
  model.graph.inputs = {{"x", DType::f32, {-1, 32}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"first", "MatMul", {"x", "w1"}, {"a"}, {}, {}},
                       {"second", "MatMul", {"x", "w2"}, {"b"}, {}, {}},
                       {"sum", "Add", {"a", "b"}, {"c"}, {}, {}},
                       {"third", "MatMul", {"c", "w3"}, {"y"}, {}, {}}};
  model.weights.emplace("w1", random_tensor({32, 64}, 1, 1));
  model.weights.emplace("w2", random_tensor({32, 64}, 2, 0.001));
  model.weights.emplace("w3", random_tensor({64, 16}, 3, 1));
  return model;
}

}  // namespace

TEST_CASE("allocations are the best of all combinations") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    const Choices layers = random_choices(random);
    // Sizes are below 2^16, so that every byte is a step and nothing is rounded.
    const auto budget = std::int64_t(random.below(3000));
    const double limit = random.uniform(0, 2);
    double least = INFINITY;
    std::int64_t fewest = INT64_MAX;
    every_combination(layers, 0, 0, 0.0, [&](std::int64_t bytes, double error) {
      if (bytes <= budget) least = std::min(least, error);
      if (error <= limit) fewest = std::min(fewest, bytes);
    });
    const Allocation cheap = least_error(layers, budget), small = least_bytes(layers, limit);
    CHECK(cheap.chosen.empty() == (least == INFINITY));
    if (!cheap.chosen.empty()) {
      CHECK(cheap.error == doctest::Approx(least).epsilon(1e-12));
      CHECK(cheap.bytes <= budget);
    }
    CHECK(small.chosen.empty() == (fewest == INT64_MAX));
    if (!small.chosen.empty()) {
      CHECK(small.bytes == fewest);
      CHECK(small.error <= limit);
    }
  }
  CHECK(least_error({}, 0).error == 0);
}

TEST_CASE("large sizes are rounded against the budget and stay near the best") {
  Random random(2);
  Choices layers(6);
  for (std::vector<StorageChoice>& layer : layers)
    for (int bits = 2; bits <= 8; ++bits)
      layer.push_back({bits * (std::int64_t(1) << 28) + std::int64_t(random.below(1000)), std::pow(4.0, -bits)});
  for (const double bits : {2.5, 4.0, 6.3}) {
    const auto budget = std::int64_t(6 * bits * double(std::int64_t(1) << 28));
    const Allocation found = least_error(layers, budget);
    REQUIRE(found.chosen.size() == 6);
    CHECK(found.bytes <= budget);
    double least = INFINITY;
    every_combination(layers, 0, 0, 0.0, [&](std::int64_t bytes, double error) {
      if (double(bytes) <= double(budget) * (1 - 6.0 / 65536)) least = std::min(least, error);
    });
    CHECK(found.error <= least);
  }
}

TEST_CASE("a budget of bits per weight is kept, and bits go where they matter") {
  const Model model = lopsided_model();
  const Tensor samples = random_tensor({64, 32}, 9, 1);
  for (const std::string with : {"rtn", "gptq", "kmeans"}) {
    INFO(with);
    double last = -INFINITY;
    for (const double budget : {3.5, 4.5, 6.0}) {
      const std::string spec = "auto:" + std::to_string(budget) + "bpw@with=" + with;
      const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), samples, 1);
      CHECK(model_bytes(out.model).bits_per_weight <= budget);
      CHECK(out.layers[1].bits_per_weight < out.layers[0].bits_per_weight);
      CHECK(out.layers[1].bits_per_weight < out.layers[2].bits_per_weight);
      Executor before(model, {.batch = 64}), after(out.model, {.batch = 64});
      const double sqnr = sqnr_db(before.run(samples).as<float>(), after.run(samples).as<float>());
      CHECK(sqnr > last);
      last = sqnr;
    }
  }
  const QuantizedModel even = quantize_model(model, parse_quant_spec("rtn:w4"), samples, 1);
  const QuantizedModel uneven = quantize_model(model, parse_quant_spec("auto:4.7bpw"), samples, 1);
  CHECK(model_bytes(uneven.model).bits_per_weight <= model_bytes(even.model).bits_per_weight);
  Executor before(model, {.batch = 64}), a(even.model, {.batch = 64}), b(uneven.model, {.batch = 64});
  const std::vector<float> wanted(before.run(samples).as<float>().begin(), before.outputs()[0].as<float>().end());
  CHECK(sqnr_db(wanted, b.run(samples).as<float>()) > sqnr_db(wanted, a.run(samples).as<float>()) + 3);
}

TEST_CASE("a budget of error gives the smallest model that keeps it") {
  const Model model = lopsided_model();
  const Tensor samples = random_tensor({32, 32}, 9, 1);
  double last = 0;
  for (const int db : {10, 20, 30, 40}) {
    const std::string spec = "auto:" + std::to_string(db).append("dB");
    const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), samples, 1);
    Executor before(model, {.batch = 32}), after(out.model, {.batch = 32});
    // Errors of layers are taken to add up; products of two of them are left out.
    CHECK(sqnr_db(before.run(samples).as<float>(), after.run(samples).as<float>()) > db - 1);
    const double bits = model_bytes(out.model).bits_per_weight;
    CHECK(bits > last);
    last = bits;
  }
}

TEST_CASE("budgets that cannot be kept are refused with what can") {
  const Model model = lopsided_model();
  const Tensor samples = random_tensor({32, 32}, 9, 1);
  CHECK_THROWS_WITH_AS(quantize_model(model, parse_quant_spec("auto:1.5bpw"), samples, 1),
                       doctest::Contains("model 'lopsided' needs at least "), Unsupported);
  CHECK_THROWS_WITH_AS(quantize_model(model, parse_quant_spec("auto:150dB"), samples, 1),
                       doctest::Contains("model 'lopsided' reaches at most "), Unsupported);
  CHECK_THROWS_WITH_AS(quantize_model(model, parse_quant_spec("auto:4bpw"), {}, 1),
                       doctest::Contains("needs calibration samples"), DataError);
  Tensor nothing(DType::f32, {4, 32});
  CHECK_THROWS_WITH_AS(quantize_model(model, parse_quant_spec("auto:4bpw"), nothing, 1),
                       doctest::Contains("nothing says which layers matter"), DataError);
}

}  // namespace qb
