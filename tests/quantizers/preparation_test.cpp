#include "quantizers/preparation.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/metrics.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/output_error.h"
#include "quantizers/quantizer.h"
#include "tests/golden_json.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

Attribute ints(std::vector<std::int64_t> values) { return values; }

Tensor random_tensor(Shape shape, std::uint64_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(random.uniform(-1, 1));
  return tensor;
}

/// x [.., k] -> MatMul with rows [n, k] of weights.
Model one_layer(std::span<const float> rows, std::int64_t n, std::int64_t k) {
  Model model;
  model.name = "one layer";
  model.graph.inputs = {{"x", DType::f32, {-1, k}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"layer", "Gemm", {"x", "w"}, {"y"}, {{"transB", std::int64_t(1)}}, {}}};
  Tensor weights(DType::f32, {n, k});
  std::ranges::copy(rows, weights.as<float>().begin());
  model.weights.emplace("w", std::move(weights));
  return model;
}

struct Golden {
  nlohmann::json json;
  std::vector<float> weights;
  Tensor samples;
  std::int64_t n = 0, k = 0;
};
Golden read(const std::string& name) {
  Golden file{golden(name), {}, {}, 0, 0};
  if (file.json.is_null()) return file;
  file.n = file.json["rows"].get<std::int64_t>();
  file.k = file.json["cols"].get<std::int64_t>();
  file.weights = floats_of(file.json["W_f32_hex"]);
  file.samples = Tensor(DType::f32, {file.json["tokens"].get<std::int64_t>(), file.k});
  std::ranges::copy(floats_of(file.json["X_f32_hex"]), file.samples.as<float>().begin());
  return file;
}

/// Mean square difference between the layer's float results and the quantized model's.
double result_error(const Model& model, const Model& quantized, const Tensor& samples) {
  Executor a(model, {.batch = samples.shape[0]}), b(quantized, {.batch = samples.shape[0]});
  const std::span<const float> wanted = a.run(samples).as<float>(), got = b.run(samples).as<float>();
  double sum = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    sum += (double(wanted[i]) - double(got[i])) * (double(wanted[i]) - double(got[i]));
  return sum / double(wanted.size());
}

/// conv -> Relu -> depthwise conv -> Relu -> conv -> Flatten -> Gemm, whose channels grow from layer to layer by 1, 2,
/// 4 .. 128.
Model uneven_model() {
  Model model;
  model.name = "uneven";
  model.graph.inputs = {{"x", DType::f32, {-1, 3, 6, 6}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"one", "Conv", {"x", "one.w", "one.b"}, {"a"}, {{"kernel_shape", ints({1, 1})}}, {}},
                       {"relu1", "Relu", {"a"}, {"b"}, {}, {}},
                       {"depth",
                        "Conv",
                        {"b", "depth.w", "depth.b"},
                        {"c"},
                        {{"group", std::int64_t(8)}, {"kernel_shape", ints({3, 3})}},
                        {}},
                       {"relu2", "Relu", {"c"}, {"d"}, {}, {}},
                       {"two", "Conv", {"d", "two.w", "two.b"}, {"e"}, {{"kernel_shape", ints({1, 1})}}, {}},
                       {"flat", "Flatten", {"e"}, {"f"}, {}, {}},
                       {"last", "Gemm", {"f", "last.w"}, {"y"}, {}, {}}};
  const std::vector<std::pair<const char*, Shape>> shapes = {
      {"one.w", {8, 3, 1, 1}}, {"one.b", {8}}, {"depth.w", {8, 1, 3, 3}}, {"depth.b", {8}},
      {"two.w", {4, 8, 1, 1}}, {"two.b", {4}}, {"last.w", {64, 5}}};
  std::uint64_t seed = 1;
  for (const auto& [name, shape] : shapes) {
    model.weights.emplace(name, random_tensor(shape, seed++));
  }
  for (std::size_t layer = 1; layer < 4; ++layer) {
    const InputChannels input = input_channels(model, matrix_weights(model)[layer]).value();
    std::vector<double> factors;
    for (std::int64_t c = 0; c < input.channels; ++c) factors.push_back(std::ldexp(1.0, int(c)));
    scale_channels(model, input, factors);
  }
  return model;
}

TEST_CASE("AWQ finds the published search's ratios, scales and clips") {
  const Golden file = read("ptq/awq.json");
  if (file.json.is_null()) return;
  const Model model = one_layer(file.weights, file.n, file.k);
  for (const nlohmann::json& wanted : file.json["cases"]) {
    const std::string head =
        "w" + std::to_string(wanted["bits"].get<int>()).append("g").append(std::to_string(wanted["group"].get<int>()));
    INFO(head);
    const auto error_of = [&](const std::string& spec) {
      const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), file.samples, 2);
      return std::pair(result_error(model, out.model, file.samples), out.layers[0].prepared);
    };
    // Our sums run in float32; a tie that falls to the other side moves one weight by one step.
    CHECK(error_of("rtn:" + head + "@grid=asym").first ==
          doctest::Approx(wanted["rtn_mse"].get<double>()).epsilon(0.01));
    const auto [scaled, how] = error_of("awq:" + head + "@clip=0");
    CHECK(scaled == doctest::Approx(wanted["best_mse"].get<double>()).epsilon(0.01));
    CHECK(how == fmt::format("awq ratio {}, multiplied at run time", wanted["best_ratio"].get<double>()));
    CHECK(error_of("awq:" + head).first == doctest::Approx(wanted["mse_after_clip"].get<double>()).epsilon(0.01));
  }
}

TEST_CASE("SmoothQuant's factors and errors are the published ones, with the valley over alpha") {
  const Golden file = read("ptq/smoothquant.json");
  if (file.json.is_null()) return;
  const Model model = one_layer(file.weights, file.n, file.k);
  const auto error_of = [&](const std::string& spec) {
    return result_error(model, quantize_model(model, parse_quant_spec(spec), file.samples, 1).model, file.samples);
  };
  CHECK(error_of("rtn:w8a8") == doctest::Approx(file.json["naive_per_token_act_mse"].get<double>()).epsilon(0.02));
  std::vector<double> errors;
  for (const nlohmann::json& wanted : file.json["cases"]) {
    const std::string alpha = fmt::format("{}", wanted["alpha"].get<double>());
    INFO(alpha);
    const QuantizedModel out =
        quantize_model(model, parse_quant_spec("smoothquant+rtn:w8a8@alpha=" + alpha), file.samples, 1);
    const auto factors = std::ranges::find_if(
        out.model.weights, [](const auto& entry) { return entry.first.ends_with(".input.constant"); });
    REQUIRE(factors != out.model.weights.end());
    const std::vector<double> scales = wanted["scale"].get<std::vector<double>>();
    for (std::size_t c = 0; c < scales.size(); ++c)
      CHECK(1 / double(std::get<Tensor>(factors->second).as<float>()[c]) == doctest::Approx(scales[c]).epsilon(1e-5));
    CHECK(result_error(model, out.model, file.samples) ==
          doctest::Approx(wanted["mse_per_token_act"].get<double>()).epsilon(0.02));
    errors.push_back(error_of(fmt::format("smoothquant+rtn:w8a8@alpha={},mode=static", alpha)));
    CHECK(errors.back() == doctest::Approx(wanted["mse_per_tensor_act"].get<double>()).epsilon(0.02));
  }
  const auto least = std::ranges::min_element(errors);
  CHECK(least != errors.begin());
  CHECK(least + 1 != errors.end());
  for (auto it = errors.begin(); it != least; ++it) CHECK(*it > *(it + 1));
  for (auto it = least; it + 1 != errors.end(); ++it) CHECK(*it < *(it + 1));
}

TEST_CASE("equalized layers have equal ranges, and compute what they did") {
  const Model model = uneven_model();
  const Tensor samples = random_tensor({16, 3, 6, 6}, 77);
  const QuantizedModel out = quantize_model(model, parse_quant_spec("equalize+rtn:w4@per=tensor"), {}, 1);
  REQUIRE(out.prepared);
  const QuantizedModel plain = quantize_model(model, parse_quant_spec("rtn:w4@per=tensor"), {}, 1);
  Executor before(model, {.batch = 16}), after(*out.prepared, {.batch = 16});
  const std::vector<float> wanted(before.run(samples).as<float>().begin(), before.outputs()[0].as<float>().end());
  CHECK(sqnr_db(wanted, after.run(samples).as<float>()) > 110);
  CHECK(out.prepared->graph.nodes.size() == model.graph.nodes.size());
  CHECK(out.layers[0].prepared.empty());
  CHECK(out.layers[1].prepared == "equalized with 'one'");
  for (const MatrixWeight& layer : matrix_weights(*out.prepared)) {
    const auto input = input_channels(*out.prepared, layer);
    if (!input->source) continue;
    const std::vector<double> read = largest_weights(*out.prepared, *input);
    const std::vector<float> rows = matrix_values(*out.prepared, *input->source->layer);
    const std::size_t k = rows.size() / read.size();
    for (std::size_t c = 0; c < read.size(); ++c) {
      double made = 0;
      for (std::size_t j = 0; j < k; ++j) made = std::max(made, std::abs(double(rows[c * k + j])));
      CHECK(made == doctest::Approx(read[c]).epsilon(5e-3));
    }
  }
  // One scale for rows whose ranges span 2^7 loses most of them: Nagel et al., section 3.1.
  Executor uneven(plain.model, {.batch = 16}), even(out.model, {.batch = 16});
  CHECK(sqnr_db(wanted, even.run(samples).as<float>()) > sqnr_db(wanted, uneven.run(samples).as<float>()) + 6);
}

TEST_CASE("steps before quantizing leave alone what is skipped, and compute what the model did") {
  const Model model = uneven_model();
  const Tensor samples = random_tensor({16, 3, 6, 6}, 77);
  Executor before(model, {.batch = 16});
  const std::vector<float> wanted(before.run(samples).as<float>().begin(), before.outputs()[0].as<float>().end());
  for (const char* spec :
       {"smoothquant+rtn:w8a8@skip=two", "awq:w4g4@skip=two", "equalize+smoothquant+gptq:w4@skip=two",
        "awq+gptq:w3@skip=two", "equalize+awq:w4g8@skip=two"}) {
    INFO(spec);
    const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), samples, 2);
    REQUIRE(out.prepared);
    Executor prepared(*out.prepared, {.batch = 16}), quantized(out.model, {.batch = 16});
    CHECK(sqnr_db(wanted, prepared.run(samples).as<float>()) > 110);
    CHECK(sqnr_db(wanted, quantized.run(samples).as<float>()) > 8);
    REQUIRE(out.layers.size() == 4);
    CHECK(out.layers[2].skipped == "skip=two");
    CHECK(out.layers[2].prepared.empty());
    const QuantizedModel again = quantize_model(model, parse_quant_spec(spec), samples, 1);
    for (std::size_t i = 0; i < out.layers.size(); ++i) {
      const auto* one = std::get_if<PackedMatrix>(&out.model.weights.at(out.layers[i].where.weight));
      const auto* other = std::get_if<PackedMatrix>(&again.model.weights.at(out.layers[i].where.weight));
      REQUIRE((one == nullptr) == (other == nullptr));
      if (one) CHECK(one->digest == other->digest);
    }
  }
}

TEST_CASE("turned layers compute what they did, and outliers spread over their block") {
  Model model = uneven_model();
  Tensor samples = random_tensor({16, 3, 6, 6}, 77);
  Executor before(model, {.batch = 16});
  const std::vector<float> wanted(before.run(samples).as<float>().begin(), before.outputs()[0].as<float>().end());
  const QuantizedModel out = quantize_model(model, parse_quant_spec("rotate+rtn:w8a8"), samples, 1);
  Executor turned(*out.prepared, {.batch = 16}), quantized(out.model, {.batch = 16});
  CHECK(sqnr_db(wanted, turned.run(samples).as<float>()) > 110);
  CHECK(sqnr_db(wanted, quantized.run(samples).as<float>()) > 8);  // channels differ by 128, 7 of 8 bits
  const std::vector<std::string> how = {"", "", "turned in blocks of 8", "turned in blocks of 64"};
  for (std::size_t i = 0; i < how.size(); ++i) CHECK(out.layers[i].prepared == how[i]);
  CHECK(out.prepared->graph.nodes.size() == model.graph.nodes.size() + 2);

  // One input in 64 is 100 times larger than the others: int4 rows lose the others without the rotation.
  const Tensor rows = random_tensor({32, 64}, 3);
  Tensor x = random_tensor({64, 64}, 4);
  for (std::size_t i = 0; i < 64; ++i) x.as<float>()[i * 64 + 7] *= 100;
  const Model layer = one_layer(rows.as<float>(), 32, 64);
  const auto error_of = [&](const std::string& spec) {
    return result_error(layer, quantize_model(layer, parse_quant_spec(spec), x, 1).model, x);
  };
  CHECK(error_of("rotate+rtn:w8a4") < 0.5 * error_of("rtn:w8a4"));
  CHECK(error_of("rotate+rtn:w8a4@signs=2") != error_of("rotate+rtn:w8a4"));
}

TEST_CASE("channels with outliers are computed in float, and the rest without them") {
  Tensor x = random_tensor({64, 48}, 4);
  for (std::size_t i = 0; i < 64; ++i)
    for (const std::size_t c : {3, 40}) x.as<float>()[i * 48 + c] *= 100;
  const Tensor weights = random_tensor({32, 48}, 3);
  const Model layer = one_layer(weights.as<float>(), 32, 48);
  const QuantizedModel out = quantize_model(layer, parse_quant_spec("outliers+rtn:w8a8"), x, 1);
  REQUIRE(out.layers.size() == 2);
  CHECK(out.layers[0].prepared == "2 of 48 channels computed in float");
  CHECK(out.layers[1].skipped == "outliers of 'layer'");
  CHECK(out.layers[0].where.k == 46);
  CHECK(out.layers[1].where.k == 2);
  // 8 bits for 46 weights of each row, 32 for 2, and a float32 scale.
  CHECK(model_bytes(out.model).bits_per_weight == doctest::Approx((46 * 8 + 2 * 32 + 32) / 48.0));
  const auto error_of = [&](const std::string& spec) {
    return result_error(layer, quantize_model(layer, parse_quant_spec(spec), x, 1).model, x);
  };
  CHECK(error_of("outliers+rtn:w8a8") < 0.01 * error_of("rtn:w8a8"));
  CHECK(error_of("outliers+rtn:w8a8@threshold=1000") == error_of("rtn:w8a8"));
  CHECK(quantize_model(layer, parse_quant_spec("outliers+rtn:w8a8@threshold=0"), x, 1).layers[0].prepared ==
        "outliers stay in the layer, they are in all channels");

  const Model model = uneven_model();
  const Tensor planes = random_tensor({16, 3, 6, 6}, 77);
  Executor before(model, {.batch = 16});
  const std::vector<float> wanted(before.run(planes).as<float>().begin(), before.outputs()[0].as<float>().end());
  const QuantizedModel split = quantize_model(model, parse_quant_spec("outliers+rtn:w8a8@threshold=2"), planes, 1);
  Executor prepared(*split.prepared, {.batch = 16}), quantized(split.model, {.batch = 16});
  CHECK(sqnr_db(wanted, prepared.run(planes).as<float>()) > 110);
  CHECK(sqnr_db(wanted, quantized.run(planes).as<float>()) > 8);
  CHECK(split.layers.size() > 4);
  CHECK(split.layers[1].prepared == "outliers stay in the layer, whose channels are in groups");
}

TEST_CASE("channels that are always zero, and constant ones, end in a defined result") {
  const Model model = uneven_model();
  Tensor dead = random_tensor({8, 3, 6, 6}, 5);
  const std::span<float> values = dead.as<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (const std::size_t channel = i / 36 % 3; channel < 2) values[i] = float(channel);
  for (const std::string spec : {"smoothquant+rtn:w8a8", "smoothquant+rtn:w8a8@alpha=1", "awq:w4", "awq+gptq:w4"}) {
    INFO(spec);
    const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), dead, 1);
    Executor executor(out.model, {.batch = 8});
    const Tensor unseen = random_tensor({8, 3, 6, 6}, 6);
    for (const float value : executor.run(unseen).as<float>()) CHECK(std::isfinite(value));
  }
  CHECK_THROWS_WITH_AS(quantize_model(model, parse_quant_spec("smoothquant+rtn:w8a8"), {}, 1),
                       "model 'uneven': the quantizer needs calibration samples and there are none", DataError);
}

}  // namespace
}  // namespace qb
