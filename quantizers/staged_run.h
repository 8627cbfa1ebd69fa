// Samples on their way through a model whose layers change meanwhile: what they have become so far is kept, so that the
// model runs on from there instead of from its beginning.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/executor.h"

namespace qb {

/// One model's samples, in batches of kCalibrationBatch. Not copyable.
class StagedRun {
 public:
  static constexpr std::int64_t kKeptBytes = std::int64_t(1) << 30;

  /// Keeps references. Between calls the model's weights may change, in their values only. Values between nodes are
  /// kept up to `kept_bytes`. Throws DataError for an empty set.
  StagedRun(const Model& model, const Tensor& samples, int threads, std::int64_t kept_bytes = kKeptBytes);

  std::size_t batches() const { return batches_.size(); }

  /// Nodes of the model, from what is kept on, with the weights that the model has when it is made.
  class Part {
   public:
    /// One batch through the part. `watch` gets the index of the last node among the executor's layers, which it must
    /// be, and gives the observer.
    void run(std::size_t batch, const std::function<ExecutorObserver(std::size_t layer)>& watch);

   private:
    friend StagedRun;
    struct Sized {
      Model model;
      std::unique_ptr<Executor> executor;
    };
    Part(StagedRun& owner, std::size_t end) : owner_(&owner), end_(end) {}
    Sized& sized(std::size_t batch);
    std::vector<Tensor> inputs(std::size_t batch);

    StagedRun* owner_;
    std::size_t end_;
    std::map<std::int64_t, Sized> sized_;  ///< by samples in a batch
  };

  /// The part that ends with `node`, a layer. Nodes before it must not have been kept already.
  Part through(std::size_t node) { return Part(*this, node + 1); }

  /// Computes and keeps what nodes from `node` on read; leaves everything as it is where that would be too much.
  void keep_before(std::size_t node);

  std::size_t kept() const { return kept_; }  ///< the first node that is not computed yet

 private:
  /// What does not depend on the values of samples, for one size of batch.
  struct Facts {
    std::vector<bool> runs;                   ///< by node; others are known before
    std::map<std::string, ValueInfo> types;   ///< of what runs make, and of the model's inputs
    std::map<std::string, Tensor> constants;  ///< known before, and no weight of the model
  };
  struct Batch {
    std::int64_t samples = 0;
    std::map<std::string, Tensor> values;
  };

  void learn_facts(const Tensor& samples);
  bool is_read_from(const std::string& value, std::size_t node) const;
  std::int64_t bytes_before(std::size_t node) const;

  const Model& model_;
  int threads_;
  std::int64_t kept_bytes_;
  std::size_t kept_ = 0;
  std::vector<Batch> batches_;
  std::map<std::int64_t, Facts> facts_;              ///< by samples in a batch
  std::map<std::string, std::size_t> last_readers_;  ///< by value: the last node that reads it
};

}  // namespace qb
