// What rounding the weights of a layer does to its results, from the second moments of its inputs.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quantizers/layer_inputs.h"

namespace qb {

/// The mean products E[x[i] x[j]] of one group's inputs, float32 [k, k]; zeros when nothing was seen.
struct MeanProducts {
  MeanProducts(const LayerInputs& inputs, std::size_t group, std::int64_t k);

  /// results [rows, width] = differences times the products of these columns. Reentrant.
  void multiply(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
                float* results) const;

  /// E[(d x)^2] for each of `rows` rows d [width] of differences at columns [begin, begin + width): d M d', row r at
  /// differences + r * width. Sums run in one order whatever the machine. Reentrant.
  void errors(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
              std::span<double> errors) const;

  std::int64_t k = 0;
  std::vector<float> values;
};

}  // namespace qb
