#include "quantizers/quantized_inputs.h"

#include <Eigen/Cholesky>
#include <algorithm>

#include "kernels/base/error.h"
#include "models/layer_edits.h"

namespace qb {
namespace {

using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Gives every set of rows that enters one layer to `take`.
std::function<ExecutorObserver(std::size_t)> watch_rows(const MatrixWeight& where,
                                                        const std::function<void(const InputRows&)>& take) {
  return [&where, &take](std::size_t layer) {
    ExecutorObserver observer;
    observer.product = [&where, &take, layer](const GemmEvent& event) {
      if (event.layer == layer) take(rows_of(where, event));
    };
    observer.depthwise = [&take, layer](const DepthwiseEvent& event) {
      if (event.layer == layer) for_each_rows(event, take);
    };
    return observer;
  };
}

/// How one layer's inputs differ between two models that run the same samples.
class DriftSums {
 public:
  DriftSums(const MatrixWeight& layer, int threads, QuantizedInputs::Seen& seen)
      : k_(layer.k), threads_(threads), seen_(seen), blocks_(std::size_t(layer.groups), RowBlocks(2 * layer.k)) {
    seen.drift.assign(blocks_.size(), std::vector<double>(std::size_t(k_ * k_)));
    seen.drift_sums.assign(blocks_.size(), std::vector<double>(std::size_t(k_)));
  }

  /// Rows of the float model, before those of the other one come in the same pieces.
  void keep(const InputRows& rows) {
    std::vector<float>& both = kept_.emplace_back(std::size_t(rows.count * 2 * k_));
    for (std::int64_t r = 0; r < rows.count; ++r)
      std::copy_n(rows.values + r * rows.stride, k_, both.data() + r * 2 * k_);
  }

  void meet(const InputRows& rows) {
    std::vector<float>& both = kept_[next_++];
    QB_EXPECTS(std::ssize(both) == rows.count * 2 * k_);
    for (std::int64_t r = 0; r < rows.count; ++r) {
      float* difference = both.data() + r * 2 * k_;
      std::copy_n(rows.values + r * rows.stride, k_, difference + k_);
      for (std::int64_t i = 0; i < k_; ++i) difference[i] -= difference[k_ + i];
    }
    const auto group = std::size_t(rows.group);
    blocks_[group].add({rows.group, rows.count, both.data(), 2 * k_},
                       [&](const InputRows& block) { add_block(block, group); });
    if (next_ < kept_.size()) return;
    kept_.clear();
    next_ = 0;
  }

  void finish() {
    for (std::size_t group = 0; group < blocks_.size(); ++group)
      blocks_[group].finish([&](const InputRows& block) { add_block(block, group); });
  }

 private:
  void add_block(const InputRows& block, std::size_t group) {
    const InputRows other{block.group, block.count, block.values + k_, block.stride};
    add_products(block, other, k_, /*upper=*/false, threads_, seen_.drift[group]);
    add_sums(block, k_, seen_.drift_sums[group]);
  }

  std::int64_t k_;
  int threads_;
  QuantizedInputs::Seen& seen_;
  std::vector<RowBlocks> blocks_;         ///< by group: differences, then the other model's inputs
  std::vector<std::vector<float>> kept_;  ///< of one batch, by piece
  std::size_t next_ = 0;                  ///< of kept_
};

}  // namespace

QuantizedInputs::QuantizedInputs(const Model& model, const Tensor& samples, bool beside, int threads,
                                 std::int64_t kept_bytes)
    : partly_(model), threads_(threads), partly_run_(partly_, samples, threads, kept_bytes) {
  if (beside) float_run_.emplace(model, samples, threads, kept_bytes);
}

QuantizedInputs::Seen QuantizedInputs::at(const MatrixWeight& layer) {
  Seen seen;
  InputSums sums(layer, threads_);
  partly_run_.keep_before(layer.node);
  StagedRun::Part partly = partly_run_.through(layer.node);
  if (!float_run_) {
    for (std::size_t batch = 0; batch < partly_run_.batches(); ++batch)
      partly.run(batch, watch_rows(layer, [&](const InputRows& rows) { sums.add(rows); }));
    seen.inputs = sums.finish(partly_);
    return seen;
  }
  DriftSums drift(layer, threads_, seen);
  float_run_->keep_before(layer.node);
  StagedRun::Part beside = float_run_->through(layer.node);
  for (std::size_t batch = 0; batch < partly_run_.batches(); ++batch) {
    beside.run(batch, watch_rows(layer, [&](const InputRows& rows) { drift.keep(rows); }));
    partly.run(batch, watch_rows(layer, [&](const InputRows& rows) {
                 sums.add(rows);
                 drift.meet(rows);
               }));
  }
  seen.inputs = sums.finish(partly_);
  drift.finish();
  return seen;
}

void QuantizedInputs::replace(const MatrixWeight& layer, std::span<const float> weights,
                              std::span<const double> shift) {
  partly_.weights.insert_or_assign(layer.weight, weight_tensor(partly_, layer, weights));
  if (!shift.empty()) shift_results(partly_, layer, shift);
}

std::vector<float> asymmetric_targets(std::span<const float> weights, std::int64_t n, std::int64_t k,
                                      const QuantizedInputs::Seen& seen, double damp) {
  using Moments = Eigen::Map<const Doubles>;
  std::vector<float> targets(weights.begin(), weights.end());
  const std::int64_t rows = n / std::ssize(seen.drift);
  for (std::size_t group = 0; group < seen.drift.size(); ++group) {
    const Moments drift(seen.drift[group].data(), k, k), inputs(seen.inputs.moments[group].data(), k, k);
    const double mean = inputs.diagonal().mean();
    if (!(mean > 0)) continue;
    Eigen::Map<Floats> part(targets.data() + std::int64_t(group) * rows * k, rows, k);
    // V = W + W (D Y') inverse(Y Y' + damp): the inverse is symmetric, and solves the transposed system.
    const Eigen::MatrixXd wanted = (part.cast<double>() * drift).transpose();
    for (double added = damp;; added *= 10) {
      Eigen::MatrixXd damped = inputs;
      damped.diagonal().array() += added * mean;
      const Eigen::LLT<Eigen::MatrixXd> factored(damped);
      if (factored.info() != Eigen::Success) continue;
      const Eigen::MatrixXd change = factored.solve(wanted);
      if (!change.allFinite()) continue;
      part += change.transpose().cast<float>();
      break;
    }
  }
  return targets;
}

std::vector<double> mean_change(const QuantizedInputs::Seen& seen, std::span<const float> weights,
                                std::span<const float> others, std::int64_t n, std::int64_t k) {
  std::vector<double> change = mean_change(seen.inputs, weights, others, n, k);
  if (seen.drift_sums.empty()) return change;
  const std::int64_t rows_per_group = n / std::ssize(seen.drift_sums);
  for (std::int64_t j = 0; j < n; ++j) {
    const std::vector<double>& sums = seen.drift_sums[std::size_t(j / rows_per_group)];
    double drift = 0;
    for (std::int64_t t = 0; t < k; ++t) drift += double(weights[std::size_t(j * k + t)]) * sums[std::size_t(t)];
    change[std::size_t(j)] += drift / double(std::max<std::int64_t>(seen.inputs.rows, 1));
  }
  return change;
}

}  // namespace qb
