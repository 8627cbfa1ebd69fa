// The shipped models: what they are, and how to make them again byte for byte.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "models/data/generated/generated.h"
#include "models/graph.h"
#include "models/import.h"

namespace qb {

/// A graph and its float weights.
struct Network {
  Graph graph;
  TensorMap weights;
};

/// One shipped model: a network, its data and its schedule.
struct ZooModel {
  std::string_view name;     ///< folder in configs/zoo
  std::string_view summary;  ///< one line for lists
  Task task;
  std::string_view kind;  ///< of its dataset: "glyphs" or "grammar", with the default options
  Network (*network)();   ///< with zero weights
  std::int64_t samples;   ///< of one epoch; every epoch draws new ones from the training split
  int epochs;
  double learning_rate;  ///< highest; falls to 0 along a cosine
  std::uint64_t seed;
};
std::span<const ZooModel> zoo_models();

struct ZooOptions {
  int threads = 1;      ///< the files do not depend on it
  double schedule = 1;  ///< (0, 1]: uses this part of each epoch's samples; for tests
  std::int64_t test_samples = kGeneratedSplitSamples;
};

/// What model.json says of the training.
struct ZooReport {
  double accuracy = 0;         ///< top-1 on the test split
  double loss_nats = 0;        ///< mean cross-entropy on the test split
  std::string weights_sha256;  ///< of weights.safetensors
};

/// Trains a model and writes zoo/<name>/model.json and zoo/<name>/weights.safetensors, each atomically. Same files for
/// the same schedule on every machine. `progress` receives one line per epoch.
/// Throws InputError for an unknown name (naming the nearest) or a folder that cannot be written.
ZooReport train_zoo_model(std::string_view name, const std::filesystem::path& zoo,
                          const std::function<void(std::string_view)>& progress = {}, const ZooOptions& options = {});

}  // namespace qb
