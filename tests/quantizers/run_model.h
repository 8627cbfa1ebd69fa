// What a model gives for some inputs, in one call.
#pragma once
#include <span>
#include <vector>

#include "models/executor.h"

namespace qb {

inline std::vector<float> results_of(const Model& model, const Tensor& inputs) {
  ExecutorOptions options;
  options.batch = inputs.shape[0];
  Executor executor(model, options);
  const std::span<const float> y = executor.run(inputs).as<float>();
  return {y.begin(), y.end()};
}

}  // namespace qb
