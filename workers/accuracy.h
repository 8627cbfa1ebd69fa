// What the method lost: float and quantized model on the same samples, paired per item (measurement.md, rule 19).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/dataset.h"
#include "models/executor.h"
#include "models/metrics.h"
#include "workers/records/measurement.h"

namespace qb {

/// Sums from which SQNR and cosine of two long vectors follow, without keeping the vectors.
class Similarity {
 public:
  void add(std::span<const float> wanted, std::span<const float> got);
  double sqnr_db() const;  ///< 999 when equal; NaN when nothing was added or `wanted` is all zero
  double cosine() const;   ///< NaN when either is all zero

 private:
  double wanted_ = 0, got_ = 0, product_ = 0, difference_ = 0;
};

inline constexpr double kLargestDb = 999;             ///< stands for +inf in records
inline constexpr double kLowestLogLikelihood = -745;  ///< stands for log 0: just below the log of the smallest double

/// What the scores of a graph's first output mean, by the operator that computes it.
ScoreKind score_kind(const Graph& graph);

struct Judgement {
  ItemColumns items;
  double output_sqnr_db = kMissing, output_cosine = kMissing;
  std::vector<std::string> nodes;           ///< weighted nodes whose outputs were compared
  std::vector<double> node_output_sqnr_db;  ///< one per node: quantized against float on the first samples
};

/// Runs the first samples of the data through both executors and compares the outputs of weighted nodes that both have,
/// by name and size.
void judge_layers(Executor& float_run, Executor& run, const Dataset& data, std::int64_t batch, Judgement& judgement);

/// Runs the first `samples` of the data through both executors, which must have the same batch size.
/// Fills all but the nodes. Throws DataError when a sample's scores are not one per class.
Judgement judge(Executor& float_run, Executor& run, const Graph& graph, const Dataset& data, std::int64_t samples,
                std::int64_t batch);

}  // namespace qb
