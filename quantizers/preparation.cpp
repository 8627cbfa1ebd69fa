#include "quantizers/preparation.h"

#include <algorithm>
#include <array>

namespace qb {
namespace {

constexpr std::array kSmoothOptions = {
    QuantizerOption{"alpha", "0.5", "number 0..1",
                    "how much of the activations' range moves into the weights: 0 evens out the weights, 1 the "
                    "activations",
                    ""},
};

constexpr std::array kEqualizeOptions = {
    QuantizerOption{"sweeps", "20", "integer 1..1000", "most passes over all pairs of layers", ""},
};

constexpr std::array kRotateOptions = {
    QuantizerOption{"signs", "1", "integer 0..1000000000", "seed of the random signs of the channels", ""},
};

constexpr std::array kOutlierOptions = {
    QuantizerOption{"threshold", "6", "number 0..1e30",
                    "magnitude of an input from which on its channel is computed in float", ""},
};

constexpr std::array kAwqOptions = {
    QuantizerOption{"ratios", "20", "integer 1..100", "exponents of the mean magnitudes that are tried", ""},
};

}  // namespace

std::span<const Preparation> preparations() {
  static constexpr std::array kTable = {
      Preparation{"smoothquant", "moves the range of activations into the weights, channel by channel",
                  "Xiao et al. 2023, arXiv:2211.10438", true, "", kSmoothOptions, smooth_activations},
      Preparation{"equalize", "gives the channels between two layers equal ranges in both",
                  "Nagel et al. 2019, arXiv:1906.04721, section 4.1", false, "", kEqualizeOptions, equalize_layers},
      Preparation{"rotate", "turns the inputs of each layer by a Hadamard matrix, and the weights back",
                  "Ashkboos et al. 2024, arXiv:2404.00456", false, "", kRotateOptions, rotate_inputs},
      Preparation{"outliers", "computes channels with large inputs in float, apart from the others",
                  "Dettmers et al. 2022, arXiv:2208.07339", true, "", kOutlierOptions, split_outliers},
      Preparation{"awq", "enlarges the weights of channels with large inputs, by a searched power of them",
                  "Lin et al. 2024, arXiv:2306.00978", true, "grid", kAwqOptions, scale_salient_channels},
  };
  return kTable;
}

const Preparation* find_preparation(std::string_view name) {
  const auto table = preparations();
  const auto found = std::ranges::find(table, name, &Preparation::name);
  return found == table.end() ? nullptr : &*found;
}

std::vector<const Preparation*> preparations_of(const QuantSpec& spec) {
  std::vector<const Preparation*> steps;
  for (const std::string& name : spec.before) steps.push_back(find_preparation(name));
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  if (!method->preparation.empty()) steps.push_back(find_preparation(method->preparation));
  return steps;
}

std::vector<InputChannels> scalable_layers(const Model& model, const PreparationContext& context) {
  std::vector<InputChannels> inputs;
  for (const MatrixWeight& layer : matrix_weights(model)) {
    if (context.skipped.contains(model.graph.nodes[layer.node].name)) continue;
    if (std::optional<InputChannels> input = input_channels(model, layer)) inputs.push_back(std::move(*input));
  }
  return inputs;
}

std::vector<std::string> weights_of(std::span<const InputChannels> inputs) {
  std::vector<std::string> names;
  for (const InputChannels& input : inputs) names.push_back(input.layer.weight);
  return names;
}

namespace {

MatrixWeight layer_of(const Model& model, const std::string& weight) {
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  const auto layer = std::ranges::find(layers, weight, &MatrixWeight::weight);
  QB_EXPECTS(layer != layers.end());
  return *layer;
}

}  // namespace

LayerInput layer_input(const Model& model, const std::string& weight) {
  LayerInput input{layer_of(model, weight)};
  const MatrixWeight& layer = input.layer;
  input.channels = layer.groups * layer.k;
  if (model.graph.nodes[layer.node].op != "Conv") return input;
  const Shape& shape = std::get<Tensor>(model.weights.find(weight)->second).shape;
  input.channels = layer.groups * shape[1];
  input.columns = layer.k / shape[1];
  input.axis = 1;
  return input;
}

PreparedLayer apply_factors(Model& model, const std::string& weight, std::span<const double> factor, std::string what) {
  const std::optional<InputChannels> input = input_channels(model, layer_of(model, weight));
  QB_EXPECTS(input.has_value());
  what += scale_channels(model, *input, factor) ? ", folded into the layer before" : ", multiplied at run time";
  return {weight, std::move(what)};
}

}  // namespace qb
