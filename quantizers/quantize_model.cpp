#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "kernels/base/text.h"
#include "models/fixed_result.h"
#include "models/layer_edits.h"
#include "quantizers/calibration.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"
#include "quantizers/quantize_layers.h"

namespace qb {
namespace {

/// Why each layer stays float; empty for those that are quantized. Throws InputError for a name that no layer has, and
/// when nothing is left to quantize.
std::vector<std::string> skipped_layers(const Model& model, std::span<const MatrixWeight> layers,
                                        const QuantSpec& spec) {
  std::vector<std::string> reasons(layers.size());
  const std::string_view list = option_of(spec, "skip");
  if (list.empty()) return reasons;
  std::vector<std::string> known = {"first", "last"};
  for (const MatrixWeight& layer : layers) {
    known.push_back(model.graph.nodes[layer.node].name);
    known.push_back(layer.weight);
  }
  for (const std::string_view name : split(list, '+')) {
    bool found = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const bool named = (name == "first" && i == 0) || (name == "last" && i + 1 == layers.size()) ||
                         name == model.graph.nodes[layers[i].node].name || name == layers[i].weight;
      if (named) reasons[i] = fmt::format("skip={}", name);
      found = found || named;
    }
    if (!found)
      throw InputError(fmt::format("quantizer '{}': model '{}' has no layer '{}' to skip{}", to_text(spec), model.name,
                                   name, suggestion(name, known)));
  }
  if (std::none_of(reasons.begin(), reasons.end(), [](const std::string& reason) { return reason.empty(); }))
    throw InputError(fmt::format("quantizer '{}': skips every layer of model '{}'; that is what 'float' is for",
                                 to_text(spec), model.name));
  return reasons;
}

/// A report as it stands for a layer that stays float.
LayerReport float_report(const Model& model, const MatrixWeight& where, std::string skipped) {
  const Node& node = model.graph.nodes[where.node];
  LayerReport report;
  report.where = where;
  report.node = node.name;
  report.op = node.op;
  report.format = to_text(QuantFormat{});
  report.weight_sqnr_db = INFINITY;
  report.skipped = std::move(skipped);
  return report;
}

/// Lets every step that the spec names work on the model, in order.
std::vector<PreparedLayer> prepare_model(Model& model, const QuantSpec& spec, const Tensor& calibration,
                                         std::span<const std::string> reasons, int threads,
                                         const std::function<void(std::string_view)>& progress) {
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  std::set<std::string> skipped;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (!reasons[i].empty()) skipped.insert(model.graph.nodes[layers[i].node].name);
  std::vector<PreparedLayer> done;
  for (const Preparation* step : preparations_of(spec)) {
    if (progress) progress(fmt::format("preparing: {}", step->name));
    const std::vector<PreparedLayer> layers_done = step->apply(model, {spec, calibration, skipped, threads, progress});
    done.insert(done.end(), layers_done.begin(), layers_done.end());
  }
  return done;
}

/// Gives every node whose weight became packed its activation quantizer; nodes that share a weight get one each.
void set_activations(const Model& original, const QuantSpec& spec, const Tensor& calibration, int threads,
                     const std::function<void(std::string_view)>& progress, Model& quantized) {
  std::vector<MatrixWeight> uses = matrix_uses(quantized);
  std::erase_if(uses, [&](const MatrixWeight& use) {
    return !std::holds_alternative<PackedMatrix>(quantized.weights.find(use.weight)->second);
  });
  const bool fixed = option_of(spec, "mode") == "static";
  std::vector<ActivationStatistics> seen;
  if (fixed) seen = observe_activations(original, uses, calibration, number_of(spec, "rate"), threads, progress);
  for (std::size_t i = 0; i < uses.size(); ++i)
    quantized.graph.nodes[uses[i].node].activation =
        fixed ? choose_activation(seen[i], spec)
              : ActivationQuant{.bits = spec.activation_bits, .group = spec.activation_group};
}

/// Lets layers exchange codes where the option `requant` asks for it, and says in their reports which do and why others
/// do not.
void fix_results(const QuantSpec& spec, QuantizedModel& quantized) {
  const std::string_view wanted = option_of(spec, "requant");
  if (wanted == "none") return;
  Requantization rounding = Requantization::double_rounding;
  while (name_of(rounding) != wanted) rounding = Requantization(int(rounding) + 1);
  const FixedLayers done = requantize_in_fixed_point(quantized.model, rounding);
  const auto say = [&](const std::string& node, std::string_view what) {
    for (LayerReport& layer : quantized.layers)
      if (layer.node == node && layer.skipped.empty())
        layer.prepared.append(layer.prepared.empty() ? "" : "; ").append(what);
  };
  for (const std::string& node : done.fixed) say(node, "results in fixed point");
  for (const auto& [node, reason] : done.left) say(node, fmt::format("float results: {}", reason));
}

}  // namespace

bool learns_from_samples(const QuantSpec& spec) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  if (!method->quantizes()) return false;
  const std::vector<QuantizerOption> options = all_options(*method);
  return method->calibration || std::any_of(options.begin(), options.end(), [&](const QuantizerOption& option) {
           return !option.learns.empty() && option_of(spec, option.key) == option.learns;
         });
}

bool needs_calibration(const QuantSpec& spec) {
  const auto steps = preparations_of(spec);
  return learns_from_samples(spec) || std::ranges::any_of(steps, &Preparation::calibration) ||
         (spec.activation_bits != 32 && option_of(spec, "mode") == "static");
}

QuantizedModel quantize_model(const Model& model, const QuantSpec& spec, const Tensor& calibration, int threads,
                              const std::function<void(std::string_view)>& progress) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr && threads >= 1);
  QuantizedModel out{model, std::nullopt, {}};
  std::vector<MatrixWeight> layers = matrix_weights(model);
  if (!method->quantizes()) {
    for (const MatrixWeight& layer : layers) out.layers.push_back(float_report(model, layer, ""));
    return out;
  }
  if (layers.empty())
    throw InputError(fmt::format("quantizer '{}': model '{}' has no Conv, Gemm or MatMul with constant weights",
                                 to_text(spec), model.name));
  const std::vector<std::string> skipped = skipped_layers(model, layers, spec);
  std::map<std::string, LayerReport> known;
  for (std::size_t i = 0; i < layers.size(); ++i) known[layers[i].weight].skipped = skipped[i];
  if (!preparations_of(spec).empty()) {
    out.prepared = model;
    for (const PreparedLayer& step : prepare_model(*out.prepared, spec, calibration, skipped, threads, progress)) {
      LayerReport& report = known[step.weight];
      (step.stays_float ? report.skipped : report.prepared.append(report.prepared.empty() ? "" : "; ")) += step.what;
    }
    layers = matrix_weights(*out.prepared);
    out.model = *out.prepared;
  }
  const Model& source = out.prepared ? *out.prepared : model;
  for (const MatrixWeight& layer : layers) {
    const LayerReport& report = known[layer.weight];
    out.layers.push_back(float_report(source, layer, report.skipped));
    out.layers.back().prepared = report.prepared;
  }
  QuantizedLayers done = quantize_layers({source, spec, calibration, threads, progress}, out.layers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!out.layers[i].skipped.empty()) continue;
    out.model.weights.insert_or_assign(layers[i].weight, std::move(done.packed[i]));
    if (!done.shift[i].empty()) shift_results(out.model, layers[i], done.shift[i]);
  }
  if (spec.activation_bits != 32) {
    set_activations(source, spec, calibration, threads, progress, out.model);
    fix_results(spec, out);
  }
  return out;
}

ModelBytes model_bytes(const Model& model) {
  ModelBytes bytes;
  std::set<std::string, std::less<>> matrices;
  std::int64_t matrix_elements = 0, elements = 0;
  for (const MatrixWeight& which : matrix_weights(model)) {
    matrices.insert(which.weight);
    matrix_elements += which.n * which.k;
  }
  for (const auto& [name, weight] : model.weights) {
    const auto* packed = std::get_if<PackedMatrix>(&weight);
    const auto* tensor = std::get_if<Tensor>(&weight);
    const std::int64_t size = packed ? packed_bytes(*packed) : std::int64_t(tensor->bytes.size());
    (matrices.contains(name) ? bytes.packed : bytes.other) += size;
    elements += packed ? packed->n * packed->k : tensor->size();
  }
  const auto bits_over = [](std::int64_t stored, std::int64_t count) {
    return count == 0 ? 0.0 : 8.0 * double(stored) / double(count);
  };
  bytes.bits_per_weight = bits_over(bytes.packed, matrix_elements);
  bytes.bits_per_parameter = bits_over(bytes.packed + bytes.other, elements);
  return bytes;
}

}  // namespace qb
