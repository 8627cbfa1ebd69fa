// The training loop.
#pragma once
#include <cstdint>
#include <functional>

#include "models/dataset.h"
#include "models/graph.h"
#include "models/import.h"
#include "quantizers/training/loss.h"

namespace qb {

/// He's initial weights: uniform in ±sqrt(6 / inputs of one output) for tensors of rank 2 and more, 0 for biases, drawn
/// parameter by parameter in order of their names. Source: He et al. 2015 (arXiv:1502.01852), section 2.2.
void initialize(TensorMap& parameters, std::uint64_t seed);

struct FitOptions {
  int epochs = 1;
  std::int64_t batch = 64;      ///< samples per step, a multiple of kShardRows
  double learning_rate = 1e-3;  ///< see cosine_rate
  std::uint64_t seed = 1;       ///< of the order of samples
  int threads = 1;
};
inline constexpr std::int64_t kShardRows = 16;  ///< samples that one tape holds at a time

/// One line per epoch: means over its samples, each taken before the step that used the sample.
struct EpochReport {
  int epoch = 0;
  double loss_nats = 0, accuracy = 0;
};

/// The samples of one epoch (from 0). They may be the same ones each time.
using EpochSource = std::function<Dataset(int epoch)>;

/// Trains `parameters` in place with Adam on shuffled batches; samples that fill no batch are left out of their epoch.
///
/// A batch is split into shards of kShardRows samples whose gradients are added in order, so that the result does not
/// depend on `threads`. Throws DataError for a graph that cannot be trained or samples that do not fit it.
void fit(const Graph& graph, TensorMap& parameters, const EpochSource& source, const FitOptions& options,
         const std::function<void(const EpochReport&)>& progress = {});

/// Loss and hits over all samples.
LossSum evaluate(const Graph& graph, const TensorMap& parameters, const Dataset& samples, int threads);

}  // namespace qb
