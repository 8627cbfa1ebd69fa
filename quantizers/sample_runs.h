// Calibration samples through the float model, for those who watch it.
#pragma once
#include <cstdint>
#include <functional>

#include "models/executor.h"

namespace qb {

inline constexpr std::int64_t kCalibrationBatch = 32;  ///< samples that run together; the last batch may be smaller

/// Throws DataError for an empty set, and for a model that takes more than one input.
void check_samples(const Model& model, const Tensor& samples);

/// Samples [begin, begin + count) as a tensor of their own.
Tensor sample_rows(const Tensor& samples, std::int64_t begin, std::int64_t count);

/// Runs `samples` [count, ...] in their order. `watch` is called for each executor that is made (one, or two when the
/// last batch is smaller) and gives its observer. Throws DataError for an empty set.
void run_samples(const Model& model, const Tensor& samples, int threads,
                 const std::function<ExecutorObserver(const Executor&)>& watch);

}  // namespace qb
