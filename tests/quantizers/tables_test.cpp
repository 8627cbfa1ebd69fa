// Methods that store tables of levels, as whole methods: weighted errors, groups, and what the spec asks for.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/base/random.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "tests/golden_json.h"

namespace qb {
namespace {

PackedMatrix quantized(const std::vector<float>& weights, std::int64_t n, const std::string& text,
                       const LayerInputs* inputs = nullptr) {
  const QuantSpec spec = parse_quant_spec(text);
  const std::int64_t k = std::ssize(weights) / n;
  return find_quantizer(spec.method)->quantize({{weights.data(), n, k, k}, "the layer", inputs}, spec);
}

/// Inputs of which only the mean squares are known: one list of k per group of a convolution.
LayerInputs inputs_with_squares(const std::vector<std::vector<float>>& squares) {
  LayerInputs inputs;
  inputs.rows = 4;
  for (const std::vector<float>& list : squares) {
    std::vector<double> moments(list.size() * list.size(), 0.0);
    for (std::size_t i = 0; i < list.size(); ++i) moments[i * list.size() + i] = 4.0 * double(list[i]);
    inputs.moments.push_back(std::move(moments));
  }
  return inputs;
}

double weighted_error(const std::vector<float>& weights, const std::vector<float>& costs, const PackedMatrix& packed) {
  const std::vector<float> decoded = dequantize(packed);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += double(costs[i % costs.size()]) * std::pow(double(weights[i]) - double(decoded[i]), 2);
  return sum;
}

std::vector<float> normal_values(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = float(random.normal());
  return values;
}

}  // namespace

TEST_CASE("k-means weighted by its inputs has the golden least error") {
  const nlohmann::json file = golden("codebook/kmeans_dp.json");
  if (file.is_null()) return;
  int checked = 0;
  for (const nlohmann::json& c : file["cases"]) {
    if (c["weights"] != "sq" || c["k"].get<int>() < 4) continue;
    INFO(c["data"].get<std::string>(), " k=", c["k"].get<int>());
    const std::vector<float> x = floats_of(c["x_f32_hex"]), w = floats_of(c["w_f32_hex"]);
    const LayerInputs inputs = inputs_with_squares({w});
    const std::string bits = c["k"].get<int>() == 4 ? "w2" : "w4";
    const auto error = [&](const std::string& options) {
      return weighted_error(x, w, quantized(x, 1, "kmeans:" + bits + options, &inputs));
    };
    double size = 0;
    for (std::size_t i = 0; i < x.size(); ++i) size += double(w[i]) * double(x[i]) * double(x[i]);
    // Levels are stored as float32: off by 6e-8 of themselves at most, and an error at its least grows with the square.
    const double least = c["optimal_inertia"], rounding = 1e-12 * size;
    CHECK(error("@init=dp,weight=inputs") == doctest::Approx(least).epsilon(1e-6).scale(rounding * 1e6));
    CHECK(error("@weight=inputs") <= 1.1 * least + rounding);
    CHECK(error("@init=dp,weight=inputs") <= error("@init=dp") + rounding);
    ++checked;
  }
  CHECK(checked == 8);
}

TEST_CASE("each group of a convolution counts its own inputs, and inputs that are all zero count alike") {
  const std::vector<float> weights = normal_values(4 * 64, 3);
  std::vector<float> first(64), second(64), none(64, 0.0f);
  for (std::size_t i = 0; i < 64; ++i) {
    first[i] = i < 32 ? 100.0f : 0.01f;
    second[i] = i < 32 ? 0.01f : 100.0f;
  }
  const std::string text = "kmeans:w2@init=dp,per=channel,weight=inputs";
  const LayerInputs inputs = inputs_with_squares({first, second});
  const std::vector<float> both = dequantize(quantized(weights, 4, text, &inputs));
  for (std::size_t half = 0; half < 2; ++half) {
    const std::vector<float> rows(weights.begin() + std::ptrdiff_t(128 * half),
                                  weights.begin() + std::ptrdiff_t(128 * half + 128));
    const LayerInputs alone = inputs_with_squares({half == 0 ? first : second});
    CHECK(
        dequantize(quantized(rows, 2, text, &alone)) ==
        std::vector<float>(both.begin() + std::ptrdiff_t(128 * half), both.begin() + std::ptrdiff_t(128 * half + 128)));
  }
  const LayerInputs dead = inputs_with_squares({none});
  CHECK(quantized(weights, 4, text, &dead).digest == quantized(weights, 4, "kmeans:w2@init=dp,per=channel").digest);
}

TEST_CASE("only specs that ask for inputs read calibration samples") {
  CHECK(needs_calibration(parse_quant_spec("kmeans:w4@weight=inputs")));
  CHECK(!needs_calibration(parse_quant_spec("kmeans:w4")));
  CHECK(needs_calibration(parse_quant_spec("gguf:q4_K@imatrix=1")));
  CHECK(!needs_calibration(parse_quant_spec("gguf:q4_K")));
  CHECK(needs_calibration(parse_quant_spec("rtn:w4@bias=correct")));
}

TEST_CASE("a table for each group serves its weights as a matrix of their own would") {
  const std::vector<float> weights = normal_values(3 * 80, 5);  // groups of 32, 32 and 16
  for (const std::string method : {"kmeans:w3", "entropy:w3"}) {
    INFO(method);
    const PackedMatrix packed = quantized(weights, 3, method + "g32");
    CHECK(to_text(packed.format) == "t3g32");
    CHECK(bits_per_weight(packed) == 3 + 3 * 3 * 8 * 32.0 / (3 * 80));
    const std::vector<float> decoded = dequantize(packed);
    for (std::size_t row = 0; row < 3; ++row)
      for (std::size_t begin = 0; begin < 80; begin += 32) {
        const auto from = std::ptrdiff_t(row * 80 + begin),
                   to = std::ptrdiff_t(row * 80 + std::min(begin + 32, std::size_t(80)));
        const std::vector<float> alone(weights.begin() + from, weights.begin() + to);
        CHECK(dequantize(quantized(alone, 1, method)) ==
              std::vector<float>(decoded.begin() + from, decoded.begin() + to));
      }
  }
}

TEST_CASE("any4 learns levels of a row that are no worse than even ones in the same groups") {
  const std::vector<float> weights = normal_values(8 * 320, 9), alike(320, 1.0f);
  const auto error = [&](const std::string& text) {
    return weighted_error(weights, alike, quantized(weights, 8, text));
  };
  for (const std::string bits : {"w2g64", "w3g128", "w4g64"}) {
    INFO(bits);
    // Without steps, hqq codes min and max of each group on even levels. Levels, scales and offsets are float32.
    CHECK(error("any4:" + bits + "@init=dp") <= error("hqq:" + bits + "@steps=0") * (1 + 1e-5));
    CHECK(error("any4:" + bits) <= 1.1 * error("any4:" + bits + "@init=dp"));
  }
  const PackedMatrix packed = quantized(weights, 8, "any4:w4g64@scale=f16");
  CHECK(to_text(packed.format) == "t4g64o.f16");
  CHECK(bits_per_weight(packed) == 4 + 2 * 16.0 / 64 + 16 * 32.0 / 320);
  CHECK(error("any4:w4g64@scale=f16") <= 1.02 * error("any4:w4g64"));
  CHECK(quantized(weights, 8, "any4:w4").digest == quantized(weights, 8, "kmeans:w4@per=channel").digest);
  CHECK_THROWS_WITH_AS(quantized(weights, 8, "any4:w4@scale=f16"), doctest::Contains("without g<size>"), InputError);
}

TEST_CASE("any4 serves the weights of large inputs best where inputs count") {
  const std::vector<float> weights = normal_values(4 * 128, 11);
  std::vector<float> squares(128);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = i % 8 == 0 ? 50.0f : 0.02f;
  const LayerInputs inputs = inputs_with_squares({squares});
  const auto error = [&](const std::string& text) {
    return weighted_error(weights, squares, quantized(weights, 4, text, &inputs));
  };
  CHECK(error("any4:w3g32@init=dp,weight=inputs") < 0.9 * error("any4:w3g32@init=dp"));
}

}  // namespace qb
