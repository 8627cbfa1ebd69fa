#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/allocations.h"
#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/metrics.h"
#include "quantizers/quantizer.h"
#include "tests/quantizers/run_model.h"

namespace qb {
namespace {

/// x [-1, 24] -> Gemm "hidden" [32, 24] -> Relu -> MatMul "square" [32, 32] -> Relu -> MatMul "again" with the same
/// weight
/// -> Gemm "scores" [5, 32].
Model small_model() {
  Model model;
  model.name = "small";
  model.weights.emplace("w1", random_tensor({32, 24}, 0.3, 1));
  model.weights.emplace("b1", random_tensor({32}, 0.1, 2));
  model.weights.emplace("w2", random_tensor({32, 32}, 0.2, 3));
  model.weights.emplace("w3", random_tensor({5, 32}, 0.3, 4));
  Graph& graph = model.graph;
  graph.opset = 13;
  graph.inputs = {{"x", DType::f32, {-1, 24}}};
  graph.outputs = {"y"};
  const std::map<std::string, Attribute, std::less<>> by_rows = {{"transB", std::int64_t{1}}};
  graph.nodes = {
      {"hidden", "Gemm", {"x", "w1", "b1"}, {"h"}, by_rows, std::nullopt},
      {"act1", "Relu", {"h"}, {"hr"}, {}, std::nullopt},
      {"square", "MatMul", {"hr", "w2"}, {"s"}, {}, std::nullopt},
      {"act2", "Relu", {"s"}, {"sr"}, {}, std::nullopt},
      {"again", "MatMul", {"sr", "w2"}, {"t"}, {}, std::nullopt},
      {"scores", "Gemm", {"t", "w3"}, {"y"}, by_rows, std::nullopt},
  };
  check_graph(model);
  return model;
}

QuantizedModel quantized(const Model& model, const std::string& spec, const Tensor& calibration = {}, int threads = 1) {
  QuantizedModel out = quantize_model(model, parse_quant_spec(spec), calibration, threads);
  check_graph(out.model);
  return out;
}

const Node& node_named(const Model& model, std::string_view name) {
  return *std::find_if(model.graph.nodes.begin(), model.graph.nodes.end(),
                       [&](const Node& node) { return node.name == name; });
}

}  // namespace

TEST_CASE("activations in groups of 32 keep what an outlier in the row costs others") {
  Model model;
  model.name = "one matrix";
  model.weights.emplace("w", random_tensor({256, 48}, 0.3, 1));
  model.graph.opset = 13;
  model.graph.inputs = {{"x", DType::f32, {-1, 256}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"product", "MatMul", {"x", "w"}, {"y"}, {}, std::nullopt}};
  Tensor x = random_tensor({16, 256}, 1, 2);
  for (std::int64_t row = 0; row < 16; ++row) x.as<float>()[std::size_t(row * 256 + row * 13)] = 60.0f;
  const auto error = [&](const std::string& activations) {
    const std::vector<float> y = results_of(quantized(model, "rtn:w4g32" + activations).model, x),
                             wanted = results_of(quantized(model, "rtn:w4g32").model, x);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += std::pow(double(y[i]) - double(wanted[i]), 2);
    return sum;
  };
  // One group of eight holds the outlier, and the others are about 20 times finer.
  CHECK(error("a8g32") < error("a8") / 4);
  CHECK(error("a8g256") == error("a8"));  // the row is one group
  CHECK(error("a4g32") > error("a8g32"));
  const QuantizedModel groups = quantized(model, "rtn:w4g32a8g64");
  CHECK(groups.model.graph.nodes[0].activation == ActivationQuant{.bits = 8, .group = 64});
}

TEST_CASE("every matrix is reported: what it became, or why it stayed") {
  const Model model = small_model();
  const QuantizedModel out = quantized(model, "rtn:w4@skip=first+w3");
  REQUIRE(out.layers.size() == 3);
  CHECK(out.layers[0].node == "hidden");
  CHECK(out.layers[0].skipped == "skip=first");
  CHECK(out.layers[0].format == "f32");
  CHECK(std::isinf(out.layers[0].weight_sqnr_db));
  CHECK(out.layers[1].skipped.empty());
  CHECK(out.layers[1].format == "q4c");
  CHECK(out.layers[1].bits_per_weight == 5.0);  // 4 bits, and 32 bits of scale per 32 weights
  CHECK(out.layers[1].weight_sqnr_db > 15);
  CHECK(out.layers[1].weight_sqnr_db < 30);
  CHECK(out.layers[1].code_entropy_bits > 3);
  CHECK(out.layers[1].code_entropy_bits < 4);
  CHECK(out.layers[2].skipped == "skip=w3");
  CHECK(std::holds_alternative<Tensor>(out.model.weights.at("w1")));
  CHECK(std::holds_alternative<PackedMatrix>(out.model.weights.at("w2")));

  const QuantizedModel plain = quantized(model, "float");
  CHECK(plain.layers.size() == 3);
  for (const LayerReport& layer : plain.layers) CHECK(layer.format == "f32");
  CHECK(results_of(plain.model, random_tensor({3, 24}, 1, 9)) == results_of(model, random_tensor({3, 24}, 1, 9)));
}

TEST_CASE("names that no layer has, and nothing left to quantize, are refused") {
  const Model model = small_model();
  const auto refusal = [&](const std::string& spec) -> std::string {
    try {
      quantized(model, spec);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refusal("rtn:w4@skip=hiden").find("did you mean 'hidden'") != std::string::npos);
  CHECK(refusal("rtn:w4@skip=hidden+w2+last").find("skips every layer") != std::string::npos);
  Model bare = model;
  bare.graph.nodes = {{"act", "Relu", {"x"}, {"y"}, {}, std::nullopt}};
  bare.weights.clear();
  CHECK_THROWS_AS(quantized(bare, "rtn:w4"), InputError);
}

TEST_CASE("more bits come nearer to the float model, through the kernels") {
  const Model model = small_model();
  const Tensor inputs = random_tensor({64, 24}, 1, 5);
  const std::vector<float> wanted = results_of(model, inputs);
  for (const std::string method : {"rtn", "kmeans", "entropy"}) {
    double last = -10;
    for (const int bits : {2, 4, 6, 8}) {
      const double sqnr =
          sqnr_db(wanted, results_of(quantized(model, method + ":w" + std::to_string(bits)).model, inputs));
      INFO(method, " bits=", bits, " sqnr=", sqnr);
      // Two bits are 12 dB on uniform grids. Equal mass puts its levels where the weights are, not where the error is:
      // at two to four bits its tails stay as coarse as they were, and 3.7 dB were measured.
      CHECK(sqnr > last + 3);
      last = sqnr;
    }
  }
}

TEST_CASE("activations are quantized where weights are, shared weights included") {
  const Model model = small_model();
  const Tensor samples = random_tensor({70, 24}, 1, 6);  // two batches of 32, and 6 samples
  const QuantizedModel dynamic = quantized(model, "rtn:w8a8@skip=last");
  for (const char* name : {"hidden", "square", "again"})
    CHECK(node_named(dynamic.model, name).activation == ActivationQuant{false, 8, 1.0f, 0});
  CHECK_FALSE(node_named(dynamic.model, "scores").activation.has_value());

  const QuantizedModel fixed = quantized(model, "rtn:w8a8@mode=static", samples);
  std::vector<float> peak;
  for (const char* name : {"hidden", "square", "again", "scores"}) {
    REQUIRE(node_named(fixed.model, name).activation.has_value());
    const ActivationQuant& quant = *node_named(fixed.model, name).activation;
    CHECK(quant.is_static);
    CHECK(quant.zero == 0);
    peak.push_back(quant.scale * 127);
  }
  float largest = 0;
  for (const float value : samples.as<float>()) largest = std::max(largest, std::abs(value));
  CHECK(peak[0] == doctest::Approx(largest).epsilon(1e-6));
  CHECK(peak[1] != peak[2]);

  const QuantizedModel shifted = quantized(model, "rtn:w8a8@mode=static,asym=1", samples);
  CHECK(node_named(shifted.model, "square").activation->zero == -128);  // after Relu
  const std::vector<float> wanted = results_of(model, samples);
  const auto loss = [&](const QuantizedModel& m) { return sqnr_db(wanted, results_of(m.model, samples)); };
  // 8-bit codes of a normal input that reach to 3.5 sigma: 6.02 * 8 + 4.77 - 20 log10(3.5) = 42 dB for each quantized
  // operand; four layers of two operands lose up to 9 dB.
  CHECK(loss(dynamic) > 33);
  CHECK(loss(fixed) > 33);
  CHECK(loss(shifted) > 33);
  CHECK(loss(quantized(model, "rtn:w8a4@mode=static", samples)) < loss(fixed) - 15);
}

TEST_CASE("tables with int8 activations can be quantized, and say at a node that no kernel runs them") {
  const Model model = small_model();
  for (const char* spec : {"kmeans:w4a8", "entropy:w4a8"}) {
    const QuantizedModel out = quantized(model, spec);
    try {
      results_of(out.model, random_tensor({1, 24}, 1, 5));
      FAIL("ran");
    } catch (const Unsupported& error) {
      CHECK(std::string(error.what()).find("hidden") != std::string::npos);
    }
  }
}

TEST_CASE("calibration refuses nothing to look at and values that are not finite") {
  const Model model = small_model();
  CHECK_THROWS_AS(quantized(model, "rtn:w8a8@mode=static"), DataError);
  Tensor samples = random_tensor({4, 24}, 1, 6);
  samples.as<float>()[5] = NAN;
  try {
    quantized(model, "rtn:w8a8@mode=static", samples);
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(std::string(error.what()).find("node 'hidden'") != std::string::npos);
  }
  CHECK_THROWS_AS(quantized(model, "rtn:w8a8@mode=static", random_tensor({4, 23}, 1, 6)), DataError);
  CHECK_NOTHROW(quantized(model, "rtn:w8a8"));
  for (const char* spec : {"float", "kmeans:w4", "rtn:w8a8"}) CHECK_FALSE(needs_calibration(parse_quant_spec(spec)));
  CHECK(needs_calibration(parse_quant_spec("rtn:w8a8@mode=static")));
}

TEST_CASE("results do not depend on the number of threads, and errors neither") {
  const Model model = small_model();
  const Tensor samples = random_tensor({40, 24}, 1, 6);
  for (const std::string spec :
       {"rtn:w4a8@mode=static,act=mse", "kmeans:w4@init=kmeans++", "entropy:w3", "rtn:w3g16@grid=asym,range=mse"}) {
    INFO(spec);
    const QuantizedModel one = quantized(model, spec, samples, 1), two = quantized(model, spec, samples, 2);
    for (const char* name : {"w1", "w2", "w3"})
      CHECK(std::get<PackedMatrix>(one.model.weights.at(name)).digest ==
            std::get<PackedMatrix>(two.model.weights.at(name)).digest);
    for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
      CHECK(one.model.graph.nodes[i].activation == two.model.graph.nodes[i].activation);
  }
  Model broken = model;
  std::get<Tensor>(broken.weights.at("w1")).as<float>()[0] = INFINITY;
  std::get<Tensor>(broken.weights.at("w3")).as<float>()[0] = NAN;
  for (const int threads : {1, 2, 3}) {
    try {
      quantized(broken, "rtn:w8", {}, threads);
      FAIL("accepted");
    } catch (const DataError& error) {
      CHECK(std::string(error.what()).find("layer 'hidden'") != std::string::npos);
    }
  }
}

TEST_CASE("bytes are those of codes, scales, tables and everything else") {
  const Model model = small_model();
  const std::int64_t weights = 32 * 24 + 32 * 32 + 5 * 32;
  const ModelBytes plain = model_bytes(model);
  CHECK(plain.packed == 4 * weights);
  CHECK(plain.other == 4 * 32);
  CHECK(plain.bits_per_weight == 32);
  CHECK(plain.bits_per_parameter == 32);
  const ModelBytes rounded = model_bytes(quantized(model, "rtn:w4").model);
  CHECK(rounded.packed == weights / 2 + 4 * (32 + 32 + 5));
  CHECK(rounded.other == 4 * 32);
  CHECK(rounded.bits_per_weight == doctest::Approx(8.0 * double(rounded.packed) / double(weights)));
  CHECK(rounded.bits_per_parameter == doctest::Approx(8.0 * double(rounded.packed + 128) / double(weights + 32)));
  CHECK(model_bytes(quantized(model, "kmeans:w4").model).packed == weights / 2 + 3 * 16 * 4);
}

TEST_CASE("the memory that a method holds is counted for layers of any size") {
  if (!AllocationCount().counts()) {
    MESSAGE("allocations are not counted in this build");
    return;
  }
  const Model model = small_model();
  for (const std::string spec : {"rtn:w4", "kmeans:w4", "hqq:w4", "gguf:q4_0@skip=hidden"}) {
    INFO(spec);
    const QuantizedModel out = quantized(model, spec);
    for (const LayerReport& layer : out.layers) {
      const Weight& weight = out.model.weights.at(layer.where.weight);
      if (!layer.skipped.empty()) {
        CHECK(layer.peak_bytes == -1);
        continue;
      }
      // The result is part of it. Nothing here needs more than a few dozen bytes per weight, or per entry of a table.
      CHECK(layer.peak_bytes >= packed_bytes(std::get<PackedMatrix>(weight)));
      CHECK(layer.peak_bytes <= 200 * layer.where.n * layer.where.k + 20000);
    }
    const QuantizedModel again = quantized(model, spec);
    for (std::size_t i = 0; i < out.layers.size(); ++i)
      CHECK(double(again.layers[i].peak_bytes) == doctest::Approx(double(out.layers[i].peak_bytes)).epsilon(0.05));
    for (const LayerReport& layer : quantized(model, spec, {}, 2).layers) CHECK(layer.peak_bytes == -1);
  }
}

TEST_CASE("GPTQ holds four matrices of float64 moments, also with several threads") {
  if (!AllocationCount().counts()) return;
  constexpr std::int64_t kWidth = 256;
  Model model;
  model.name = "wide";
  model.weights.emplace("w", random_tensor({16, kWidth}, 0.1, 1));
  model.graph.opset = 13;
  model.graph.inputs = {{"x", DType::f32, {-1, kWidth}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"wide", "Gemm", {"x", "w"}, {"y"}, {{"transB", std::int64_t{1}}}, std::nullopt}};
  const Tensor samples = random_tensor({300, kWidth}, 1, 2);
  for (const int threads : {1, 2}) {
    const std::int64_t peak = quantized(model, "gptq:w4", samples, threads).layers[0].peak_bytes;
    // The moments in order, turned, factored and the inverse; the sums themselves were there before. The rest, of float
    // factors and of rows on their way, is less than two more.
    CHECK(peak >= 4 * 8 * kWidth * kWidth);
    CHECK(peak <= 6 * 8 * kWidth * kWidth);
  }
}

}  // namespace qb
