// Samples with their answers.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/tensor.h"

namespace qb {

/// Inputs [count, ...] float32 and one class per sample. Splits of one name are disjoint.
struct Dataset {
  std::string name;
  std::string split;                  ///< "train", "calibration" or "test"
  Tensor inputs;                      ///< float32, scaled as the model expects
  std::vector<std::int32_t> targets;  ///< [count], in [0, classes)
  std::int32_t classes = 0;
  std::string digest;            ///< over everything that defines the samples
  double entropy_rate_nats = 0;  ///< generated token streams only: the least possible mean loss; else 0

  std::int64_t count() const { return std::ssize(targets); }
};

/// Rows [begin, begin + rows) of the inputs as a tensor of their own; rows beyond the end repeat the last sample.
Tensor batch_of(const Dataset& dataset, std::int64_t begin, std::int64_t rows);

}  // namespace qb
