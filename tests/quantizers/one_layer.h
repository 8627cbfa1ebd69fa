// One layer without a model around it: weights, what flows into them, and a method's error on it.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "kernels/base/random.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"

namespace qb {

struct Layer {
  std::int64_t n = 0, k = 0;
  std::vector<float> weights;
  LayerInputs inputs;

  PackedMatrix quantized(const std::string& text, int threads = 1) const {
    const QuantSpec spec = parse_quant_spec(text);
    return find_quantizer(spec.method)->quantize({{weights.data(), n, k, k}, "the layer", &inputs, threads}, spec);
  }
  double output_error(const std::string& text) const {
    return mean_square_change(inputs, weights, dequantize(quantized(text)), n, k);
  }
};

inline LayerInputs inputs_of(const std::vector<float>& x, std::int64_t k) {
  LayerInputs inputs{std::ssize(x) / k, {std::vector<double>(std::size_t(k * k), 0.0)}, {}};
  for (std::int64_t row = 0; row < inputs.rows; ++row)
    for (std::int64_t i = 0; i < k; ++i)
      for (std::int64_t j = 0; j < k; ++j)
        inputs.moments[0][std::size_t(i * k + j)] +=
            double(x[std::size_t(row * k + i)]) * double(x[std::size_t(row * k + j)]);
  return inputs;
}

/// "gptq", "w4", {"grid=asym", ""} gives gptq:w4@grid=asym.
inline std::string spec_of(const std::string& method, const std::string& bits,
                           std::initializer_list<std::string> options = {}) {
  std::string text = method;
  text.append(":").append(bits);
  char separator = '@';
  for (const std::string& option : options) {
    if (option.empty()) continue;
    text.append(1, separator).append(option);
    separator = ',';
  }
  return text;
}

/// Inputs that share a few directions, as those of real layers do.
inline Layer random_layer(std::int64_t n, std::int64_t k, std::int64_t rows, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> weights(std::size_t(n * k)), x(std::size_t(rows * k)), mix(std::size_t(8 * k));
  for (float& value : weights) value = float(random.normal());
  for (float& value : mix) value = float(random.normal());
  for (std::int64_t row = 0; row < rows; ++row) {
    double hidden[8];
    for (double& value : hidden) value = random.normal();
    for (std::int64_t i = 0; i < k; ++i) {
      double sum = 0.3 * random.normal();
      for (std::int64_t h = 0; h < 8; ++h) sum += hidden[h] * double(mix[std::size_t(h * k + i)]);
      x[std::size_t(row * k + i)] = float(sum);
    }
  }
  return {n, k, std::move(weights), inputs_of(x, k)};
}

}  // namespace qb
