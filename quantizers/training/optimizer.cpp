#include "quantizers/training/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "quantizers/training/tape.h"

namespace qb {

Adam::Adam(const TensorMap& parameters, Options options)
    : options_(options), mean_(zeros_like(parameters)), square_(zeros_like(parameters)) {}

void Adam::step(TensorMap& parameters, const TensorMap& gradients, double rate) {
  mean_left_ *= double(options_.beta1);
  square_left_ *= double(options_.beta2);
  const auto mean_scale = float(rate / (1.0 - mean_left_)), square_scale = float(1.0 / (1.0 - square_left_));
  const auto [beta1, beta2, epsilon] = options_;
  for (auto& [name, tensor] : parameters) {
    const std::span<const float> gradient = gradients.find(name)->second.as<float>();
    const std::span<float> weights = tensor.as<float>();
    const std::span<float> mean = mean_.find(name)->second.as<float>(), square = square_.find(name)->second.as<float>();
    QB_EXPECTS(gradient.size() == weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      mean[i] = beta1 * mean[i] + (1.0f - beta1) * gradient[i];
      square[i] = beta2 * square[i] + (1.0f - beta2) * (gradient[i] * gradient[i]);
      weights[i] -= mean_scale * mean[i] / (std::sqrt(square[i] * square_scale) + epsilon);
    }
  }
}

namespace {

/// cos(pi x) for x in [0, 1]: the Taylor sum of sin z at z = pi (1/2 - x), to z^21 / 21!.
double cosine_of_half_turns(double x) {
  const double z = 0x1.921fb54442d18p+1 * (0.5 - x);
  double sum = 1.0;
  for (int i = 20; i >= 2; i -= 2) sum = 1.0 - sum * z * z / double(i * (i + 1));
  return sum * z;
}

}  // namespace

double cosine_rate(double highest, std::int64_t step, std::int64_t steps) {
  QB_EXPECTS(step >= 0 && step < steps);
  const std::int64_t rise = steps / 20;
  const double wave = 0.5 * highest * (1.0 + cosine_of_half_turns(double(step) / double(steps)));
  return step < rise ? wave * double(step + 1) / double(rise + 1) : wave;
}

}  // namespace qb
