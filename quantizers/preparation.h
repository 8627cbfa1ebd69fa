// Steps before a model is quantized, which leave what it computes alone: "smoothquant+gptq:w4a8" names one.
#pragma once
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/channel_scaling.h"
#include "quantizers/quantizer.h"

namespace qb {

struct PreparationContext {
  const QuantSpec& spec;
  const Tensor& calibration;             ///< [count, ...]; may be empty unless the step needs it
  const std::set<std::string>& skipped;  ///< names of nodes that stay float: left as they are
  int threads = 1;                       ///< results do not depend on it
  std::function<void(std::string_view)> progress = {};
};

/// What a step did to a layer, in a few words for its report.
struct PreparedLayer {
  std::string weight, what;
  bool stays_float = false;  ///< a layer that the step has made, not to be quantized
};

/// One step. Adding one: a file with its `apply` function, and a row in preparation.cpp.
struct Preparation {
  std::string_view name, summary, paper;
  bool calibration = false;           ///< needs samples
  std::string_view option_of_method;  ///< which the method must have, because the step reads it; "" for none
  std::span<const QuantizerOption> options = {};
  std::vector<PreparedLayer> (*apply)(Model& model, const PreparationContext& context) = nullptr;
};
std::span<const Preparation> preparations();
const Preparation* find_preparation(std::string_view name);

/// What a spec asks for, in order: the steps that it names, then the one that belongs to its method.
std::vector<const Preparation*> preparations_of(const QuantSpec& spec);

std::vector<PreparedLayer> smooth_activations(Model& model, const PreparationContext& context);
std::vector<PreparedLayer> equalize_layers(Model& model, const PreparationContext& context);
std::vector<PreparedLayer> rotate_inputs(Model& model, const PreparationContext& context);
std::vector<PreparedLayer> split_outliers(Model& model, const PreparationContext& context);
std::vector<PreparedLayer> scale_salient_channels(Model& model, const PreparationContext& context);

/// The layers that a step may scale: not skipped, float, their weights read by nobody else.
std::vector<InputChannels> scalable_layers(const Model& model, const PreparationContext& context);

std::vector<std::string> weights_of(std::span<const InputChannels> inputs);

/// What enters a layer, whatever came before it: `columns` weights of a row per channel, which lie along `axis`.
struct LayerInput {
  MatrixWeight layer;
  std::int64_t channels = 0, columns = 1, axis = -1;
};
LayerInput layer_input(const Model& model, const std::string& weight);

/// Scales the channels of one layer (channel_scaling.h); `what` with a word on where the factors went.
PreparedLayer apply_factors(Model& model, const std::string& weight, std::span<const double> factor, std::string what);

}  // namespace qb
