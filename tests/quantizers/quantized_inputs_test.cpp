// Inputs as quantized layers make them: against running the whole model again for each layer.
#include "quantizers/quantized_inputs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/random.h"
#include "quantizers/quantizer.h"
#include "tests/quantizers/run_model.h"

namespace qb {
namespace {

Node conv(std::string name, std::string in, std::string weight, std::string out, std::int64_t groups) {
  return {std::move(name),
          "Conv",
          {std::move(in), std::move(weight)},
          {std::move(out)},
          {{"kernel_shape", std::vector<std::int64_t>{3, 3}},
           {"pads", std::vector<std::int64_t>{1, 1, 1, 1}},
           {"group", groups}},
          std::nullopt};
}

/// A stem; a depthwise and a grouped branch of it that are added to what came before; a shape computed from a value;
/// two dense layers with one weight between them.
Model branched_model() {
  Model model;
  model.name = "branched";
  model.weights.emplace("stem.w", random_tensor({8, 3, 3, 3}, 0.3, 1));
  model.weights.emplace("depth.w", random_tensor({8, 1, 3, 3}, 0.4, 2));
  model.weights.emplace("grouped.w", random_tensor({8, 4, 3, 3}, 0.2, 3));
  model.weights.emplace("square", random_tensor({32, 32}, 0.2, 4));
  model.weights.emplace("last", random_tensor({5, 32}, 0.3, 5));
  Tensor rows(DType::i64, {1});
  rows.as<std::int64_t>()[0] = -1;
  model.weights.emplace("rest", std::move(rows));
  Tensor first(DType::i64, {1});
  model.weights.emplace("first", std::move(first));
  Graph& graph = model.graph;
  graph.opset = 13;
  graph.inputs = {{"x", DType::f32, {-1, 3, 6, 6}}};
  graph.outputs = {"y"};
  graph.nodes = {
      conv("stem", "x", "stem.w", "s", 1),
      {"act0", "Relu", {"s"}, {"sr"}, {}, std::nullopt},
      conv("depth", "sr", "depth.w", "d", 8),
      {"act1", "Relu", {"d"}, {"dr"}, {}, std::nullopt},
      conv("grouped", "dr", "grouped.w", "g", 2),
      {"join", "Add", {"g", "sr"}, {"j"}, {}, std::nullopt},
      {"pool",
       "AveragePool",
       {"j"},
       {"p"},
       {{"kernel_shape", std::vector<std::int64_t>{3, 3}}, {"strides", std::vector<std::int64_t>{3, 3}}},
       std::nullopt},
      {"shape", "Shape", {"p"}, {"ps"}, {}, std::nullopt},
      {"batch", "Gather", {"ps", "first"}, {"pb"}, {{"axis", std::int64_t{0}}}, std::nullopt},
      {"to", "Concat", {"pb", "rest"}, {"pt"}, {{"axis", std::int64_t{0}}}, std::nullopt},
      {"square1", "MatMul", {"flat", "square"}, {"t"}, {}, std::nullopt},
      {"square2", "MatMul", {"t", "square"}, {"u"}, {}, std::nullopt},
      {"scores", "Gemm", {"u", "last"}, {"y"}, {{"transB", std::int64_t{1}}}, std::nullopt},
  };
  graph.nodes.insert(graph.nodes.begin() + 10, {"flatten", "Reshape", {"p", "pt"}, {"flat"}, {}, std::nullopt});
  check_graph(model);
  return model;
}

/// Weights as something coarser would store them.
std::vector<float> rounded(const Model& model, const MatrixWeight& layer) {
  std::vector<float> values = matrix_values(model, layer);
  for (float& value : values) value = std::round(value * 8) / 8;
  return values;
}

}  // namespace

TEST_CASE("inputs are those of a model that runs anew, bit for bit, whatever is kept and however many threads run") {
  const Model model = branched_model();
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  REQUIRE(layers.size() == 5);
  const Tensor samples = random_tensor({70, 3, 6, 6}, 1, 9);  // two batches of 32, and one of 6
  for (const bool beside : {false, true})
    for (const std::int64_t kept : {StagedRun::kKeptBytes, std::int64_t(0), std::int64_t(100000)})
      for (const int threads : {1, 3}) {
        INFO("beside ", beside, " kept ", kept, " threads ", threads);
        QuantizedInputs through(model, samples, beside, threads, kept);
        Model partly = model;
        for (const MatrixWeight& layer : layers) {
          INFO(layer.weight);
          const QuantizedInputs::Seen seen = through.at(layer);
          const LayerInputs anew = observe_inputs(partly, std::span(&layer, 1), samples, 1)[0];
          CHECK(seen.inputs.rows == anew.rows);
          CHECK(seen.inputs.moments == anew.moments);
          CHECK(seen.inputs.sums == anew.sums);
          CHECK(seen.drift.size() == (beside ? anew.moments.size() : 0));
          const std::vector<float> weights = rounded(model, layer);
          through.replace(layer, weights, {});
          partly.weights.insert_or_assign(layer.weight, weight_tensor(partly, layer, weights));
        }
      }
}

TEST_CASE("drift is the difference between the two models, and nothing where nothing is quantized") {
  const Model model = branched_model();
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  const Tensor samples = random_tensor({40, 3, 6, 6}, 1, 10);
  const std::vector<LayerInputs> plain = observe_inputs(model, layers, samples, 1);
  QuantizedInputs untouched(model, samples, true, 1), through(model, samples, true, 1);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    INFO(layers[i].weight);
    const QuantizedInputs::Seen same = untouched.at(layers[i]), seen = through.at(layers[i]);
    for (std::size_t g = 0; g < plain[i].sums.size(); ++g) {
      CHECK(std::ranges::all_of(same.drift[g], [](double one) { return one == 0; }));
      CHECK(std::ranges::all_of(same.drift_sums[g], [](double one) { return one == 0; }));
      for (std::size_t t = 0; t < plain[i].sums[g].size(); ++t) {
        const double error = seen.inputs.sums[g][t] + seen.drift_sums[g][t] - plain[i].sums[g][t];
        // Every difference is rounded to float32 once, to within 2^-24 of magnitudes that add up to at most this.
        const std::size_t diagonal = t * (plain[i].sums[g].size() + 1);
        const double squares = plain[i].moments[g][diagonal] + seen.inputs.moments[g][diagonal];
        CHECK(std::abs(error) <= 0x1p-23 * std::sqrt(double(plain[i].rows) * squares));
      }
    }
    through.replace(layers[i], rounded(model, layers[i]), {});
  }
}

TEST_CASE("targets undo what happened to the inputs, as far as they tell") {
  // Inputs x = A y, so that weights W A make of y what W makes of x, whatever y is.
  constexpr std::int64_t kRows = 6, kColumns = 12, kSamples = 200;
  Random random(3);
  std::vector<float> weights(std::size_t(kRows * kColumns)), turn(std::size_t(kColumns * kColumns));
  for (float& value : weights) value = float(random.normal());
  for (float& value : turn) value = float(0.3 * random.normal());
  QuantizedInputs::Seen seen;
  seen.inputs.moments.assign(1, std::vector<double>(std::size_t(kColumns * kColumns)));
  seen.drift = seen.inputs.moments;
  for (std::int64_t sample = 0; sample < kSamples; ++sample) {
    double y[kColumns], d[kColumns];
    for (double& value : y) value = random.normal();
    y[5] = 0;  // a dead channel
    for (std::int64_t i = 0; i < kColumns; ++i) {
      d[i] = -y[i];
      for (std::int64_t j = 0; j < kColumns; ++j) d[i] += double(turn[std::size_t(i * kColumns + j)]) * y[j];
    }
    for (std::int64_t i = 0; i < kColumns; ++i)
      for (std::int64_t j = 0; j < kColumns; ++j) {
        seen.inputs.moments[0][std::size_t(i * kColumns + j)] += y[i] * y[j];
        seen.drift[0][std::size_t(i * kColumns + j)] += d[i] * y[j];
      }
  }
  seen.inputs.rows = kSamples;
  const std::vector<float> targets = asymmetric_targets(weights, kRows, kColumns, seen, 1e-9);
  const std::vector<float> held = asymmetric_targets(weights, kRows, kColumns, seen, 1e9);
  for (std::int64_t r = 0; r < kRows; ++r)
    for (std::int64_t j = 0; j < kColumns; ++j) {
      double wanted = 0;
      for (std::int64_t i = 0; i < kColumns; ++i)
        wanted += double(weights[std::size_t(r * kColumns + i)]) * double(turn[std::size_t(i * kColumns + j)]);
      const auto at = std::size_t(r * kColumns + j);
      if (j == 5) wanted = double(weights[at]);
      CHECK(double(targets[at]) == doctest::Approx(wanted).epsilon(1e-5));
      CHECK(double(held[at]) == doctest::Approx(double(weights[at])).epsilon(1e-5));
    }
  for (double& moment : seen.inputs.moments[0]) moment = 0;
  for (double& moment : seen.drift[0]) moment = 0;
  CHECK(asymmetric_targets(weights, kRows, kColumns, seen, 0.01) == weights);
}

namespace {

/// Eight convolutions of 3x3 with ReLU, and a dense layer: noise of each layer reaches all that follow.
Model deep_model() {
  Model model;
  model.name = "deep";
  Graph& graph = model.graph;
  graph.opset = 13;
  graph.inputs = {{"x", DType::f32, {-1, 3, 8, 8}}};
  graph.outputs = {"y"};
  std::string last = "x";
  for (int i = 0; i < 8; ++i) {
    const std::string name(1, char('a' + i)), weight = name + ".w";
    const std::int64_t in = i == 0 ? 3 : 12;
    model.weights.emplace(weight, random_tensor({12, in, 3, 3}, std::sqrt(2.0 / double(9 * in)), std::uint64_t(i + 1)));
    graph.nodes.push_back(conv(name, last, weight, name + ".c", 1));
    graph.nodes.push_back({name + ".relu", "Relu", {name + ".c"}, {name + ".r"}, {}, std::nullopt});
    last = name + ".r";
  }
  model.weights.emplace("scores.w", random_tensor({10, 12}, 0.3, 20));
  graph.nodes.push_back({"pool", "GlobalAveragePool", {last}, {"p"}, {}, std::nullopt});
  graph.nodes.push_back({"flatten", "Flatten", {"p"}, {"flat"}, {}, std::nullopt});
  graph.nodes.push_back({"scores", "Gemm", {"flat", "scores.w"}, {"y"}, {{"transB", std::int64_t{1}}}, std::nullopt});
  check_graph(model);
  return model;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return sum;
}

}  // namespace

TEST_CASE("the float model's results as target keep a deep model's error down on samples that were not seen") {
  const Model model = deep_model();
  const Tensor samples = random_tensor({70, 3, 8, 8}, 1, 30), unseen = random_tensor({40, 3, 8, 8}, 1, 31);
  const std::vector<float> wanted = results_of(model, unseen);
  const auto error = [&](const std::string& spec) {
    return squared_error(wanted, results_of(quantize_model(model, parse_quant_spec(spec), samples, 2).model, unseen));
  };
  for (const std::string spec :
       {"gptq:w4@inputs=", "gptq:w3@inputs=", "gptq:w2@inputs=", "adaround:w4@steps=200,inputs="}) {
    const double plain = error(spec + "float"), quantized = error(spec + "quantized"),
                 both = error(spec + "asymmetric");
    MESSAGE(spec, " quantized: ", quantized / plain, ", asymmetric: ", both / plain, " of the error of float");
    CHECK(both < 0.85 * plain);
    CHECK(quantized < 1.2 * plain);
  }
}

TEST_CASE("the first layer is the same whatever inputs are asked for, and no layer depends on threads") {
  const Model model = branched_model();
  const Tensor samples = random_tensor({40, 3, 6, 6}, 1, 10);
  const auto digests = [&](const std::string& spec, int threads) {
    const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), samples, threads);
    std::vector<std::string> all;
    for (const LayerReport& layer : out.layers)
      all.push_back(std::get<PackedMatrix>(out.model.weights.find(layer.where.weight)->second).digest);
    return all;
  };
  for (const std::string method : {"gptq:w3@", "adaround:w3@steps=30,", "gptq:w3@bias=correct,", "equalize+gptq:w3@"}) {
    const std::vector<std::string> plain = digests(method + "inputs=float", 1);
    for (const std::string inputs : {"inputs=quantized", "inputs=asymmetric"}) {
      INFO(method, inputs);
      const std::vector<std::string> found = digests(method + inputs, 1);
      CHECK(found == digests(method + inputs, 3));
      CHECK(found[0] == plain[0]);
      // Few steps move no rounding of this small model, whichever inputs they see.
      if (method.starts_with("gptq")) CHECK(found != plain);
    }
  }
}

TEST_CASE("layers that stay float are passed through as they are, and no samples are refused") {
  const Model model = branched_model();
  const Tensor samples = random_tensor({40, 3, 6, 6}, 1, 10);
  const QuantSpec spec = parse_quant_spec("gptq:w4@inputs=asymmetric,skip=stem+depth");
  const QuantizedModel out = quantize_model(model, spec, samples, 1);
  CHECK(std::holds_alternative<Tensor>(out.model.weights.find("stem.w")->second));
  CHECK(out.layers[2].skipped.empty());
  CHECK_THROWS_AS(quantize_model(model, spec, Tensor(DType::f32, {0, 3, 6, 6}), 1), DataError);
  CHECK_THROWS_AS(quantize_model(model, spec, random_tensor({40, 3, 6, 7}, 1, 10), 1), DataError);
  Model two = model;
  two.graph.inputs.push_back({"other", DType::f32, {-1, 2}});
  CHECK_THROWS_WITH_AS(quantize_model(two, spec, samples, 1),
                       "model 'branched' takes 2 inputs; calibration samples are for models with one", DataError);
  Tensor broken = samples;
  broken.as<float>()[7] = NAN;
  try {
    quantize_model(model, parse_quant_spec("gptq:w4@inputs=asymmetric"), broken, 1);
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(std::string(error.what()).find("node 'stem': some of its inputs are not finite") != std::string::npos);
  }
}

}  // namespace qb
