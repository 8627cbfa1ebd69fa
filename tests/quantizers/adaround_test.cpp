// AdaRound: what must hold whatever the inputs are, and the layer of the golden vectors for GPTQ.
#include <doctest/doctest.h>

#include <cmath>

#include "quantizers/weight_grid.h"
#include "tests/golden_json.h"
#include "tests/quantizers/one_layer.h"

namespace qb {

TEST_CASE("learnt roundings are up or down, and their error is below that of the nearest ones") {
  for (const std::uint64_t seed : {1, 2}) {
    const Layer layer = random_layer(24, 96, 400, seed);
    for (const std::string bits : {"w2", "w3", "w4", "w8", "w4g32"}) {
      for (const std::string grid : {"", "grid=asym", "range=mse"}) {
        INFO(bits, " ", grid, " seed ", seed);
        const std::string spec = spec_of("adaround", bits, {grid});
        const double nearest = layer.output_error(spec_of("rtn", bits, {grid})), learnt = layer.output_error(spec);
        // Roundings are free to go down or up only; errors of neighbours that share directions cancel most of it.
        CHECK(learnt < 0.25 * nearest);
        const PackedMatrix packed = layer.quantized(spec);
        const std::vector<float> decoded = dequantize(packed);
        for (std::int64_t i = 0; i < layer.n; ++i)
          for (std::int64_t j = 0; j < layer.k; ++j) {
            const auto at = std::size_t(i * layer.k + j);
            const float scale = packed.scales[std::size_t(packed.parameter_index(i, j))];
            // Outside the grid, where ranges are clipped, the distance is what clipping makes it.
            if (grid != "range=mse") CHECK(std::abs(decoded[at] - layer.weights[at]) < 1.001f * scale);
          }
      }
    }
  }
}

TEST_CASE("on the golden layer of GPTQ learnt roundings have less than 0.8 of the nearest ones' error") {
  const nlohmann::json file = golden("ptq/gptq.json");
  if (file.is_null()) return;
  const std::int64_t k = file["cols"];
  const Layer layer{file["rows"], k, floats_of(file["W_f32_hex"]),
                    inputs_of(floats_of(file["X_f32_hex_rowmajor_tokens_x_cols"]), k)};
  for (const std::string bits : {"w4", "w3", "w2"}) {
    const double nearest = layer.output_error(spec_of("rtn", bits, {"grid=asym"}));
    CHECK(layer.output_error(spec_of("adaround", bits, {"grid=asym"})) < 0.8 * nearest);
  }
}

TEST_CASE("no inputs, dead inputs and constant rows leave the nearest roundings or finite ones") {
  Layer layer = random_layer(8, 64, 50, 3);
  std::fill_n(layer.weights.begin(), 64, 0.0f);
  std::fill_n(layer.weights.begin() + 64, 64, 0.25f);
  for (std::int64_t i = 0; i < 64; ++i)
    layer.inputs.moments[0][std::size_t(7 * 64 + i)] = layer.inputs.moments[0][std::size_t(i * 64 + 7)] = 0;
  for (const float value : dequantize(layer.quantized("adaround:w3@steps=50"))) CHECK(std::isfinite(value));
  for (double& moment : layer.inputs.moments[0]) moment = 0;
  layer.inputs.rows = 0;
  CHECK(dequantize(layer.quantized("adaround:w4@steps=50")) == dequantize(layer.quantized("rtn:w4")));
}

TEST_CASE("the result does not depend on threads, and groups of a convolution do not touch each other") {
  const Layer layer = random_layer(40, 64, 300, 7), other = random_layer(40, 64, 300, 8);
  CHECK(layer.quantized("adaround:w3@steps=100", 1).digest == layer.quantized("adaround:w3@steps=100", 3).digest);
  Layer both{80, 64, layer.weights, layer.inputs};
  both.weights.insert(both.weights.end(), other.weights.begin(), other.weights.end());
  both.inputs.moments.push_back(other.inputs.moments[0]);
  std::vector<float> apart = dequantize(layer.quantized("adaround:w3@steps=100"));
  const std::vector<float> second = dequantize(other.quantized("adaround:w3@steps=100"));
  apart.insert(apart.end(), second.begin(), second.end());
  CHECK(dequantize(both.quantized("adaround:w3@steps=100")) == apart);
}

}  // namespace qb
