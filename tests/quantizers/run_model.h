// Inputs for a model, and what it gives for them, in one call each.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "kernels/base/random.h"
#include "models/executor.h"

namespace qb {

/// Normal values of deviation `size`.
inline Tensor random_tensor(Shape shape, double size, std::uint64_t seed) {
  Tensor tensor(DType::f32, std::move(shape));
  Random random(seed);
  for (float& value : tensor.as<float>()) value = float(size * random.normal());
  return tensor;
}

inline std::vector<float> results_of(const Model& model, const Tensor& inputs) {
  ExecutorOptions options;
  options.batch = inputs.shape[0];
  Executor executor(model, options);
  const std::span<const float> y = executor.run(inputs).as<float>();
  return {y.begin(), y.end()};
}

}  // namespace qb
