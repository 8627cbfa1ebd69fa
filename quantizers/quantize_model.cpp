#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <set>

#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "models/layer_edits.h"
#include "models/metrics.h"
#include "quantizers/calibration.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/options.h"

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

/// Shannon entropy of the codes, in bits.
double code_entropy(const PackedMatrix& packed) {
  std::vector<std::int64_t> counts(std::size_t(1) << packed.format.bits, 0);
  const std::vector<std::uint8_t> codes = unpack_codes(packed);
  for (const std::uint8_t code : codes) ++counts[code];
  double entropy = 0;
  for (const std::int64_t count : counts)
    if (count > 0) entropy -= double(count) / double(codes.size()) * std::log2(double(count) / double(codes.size()));
  return entropy;
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

/// The first layer that does not join those from `begin` on in one pass over the samples: what a pass remembers of its
/// layers' inputs stays below a gigabyte, or is one layer's.
std::size_t end_of_pass(std::span<const MatrixWeight> layers, std::size_t begin) {
  constexpr std::int64_t kPassBytes = std::int64_t(1) << 30;
  std::int64_t bytes = moment_bytes(layers[begin]);
  std::size_t end = begin + 1;
  while (end < layers.size() && bytes + moment_bytes(layers[end]) <= kPassBytes) bytes += moment_bytes(layers[end++]);
  return end;
}

/// What becomes of the layers, one entry per report.
struct QuantizedLayers {
  std::vector<PackedMatrix> packed;        ///< without rows for those that stay float
  std::vector<std::vector<double>> shift;  ///< of the layer's results, where biases are to take up the mean error
};

/// Quantizes one layer and completes its report. A layer whose shape the method cannot store stays float and gets that
/// reason.
PackedMatrix quantize_layer(const Model& model, const QuantSpec& spec, const LayerInputs* inputs, int threads,
                            LayerReport& report) {
  const std::vector<float> values = matrix_values(model, report.where);
  const MatrixView<const float> view{values.data(), report.where.n, report.where.k, report.where.k};
  PackedMatrix packed;
  try {
    packed = find_quantizer(spec.method)->quantize({view, report.node, inputs, threads}, spec);
  } catch (const Unsupported& error) {
    report.skipped = error.what();
    return packed;
  }
  report.format = to_text(packed.format);
  report.bits_per_weight = bits_per_weight(packed);
  report.weight_sqnr_db = sqnr_db(values, dequantize(packed));
  report.code_entropy_bits = code_entropy(packed);
  return packed;
}

/// Quantizes layers `wanted` one after another, each with what the samples send into it.
void learn_layers(const Model& model, const QuantSpec& spec, const Tensor& calibration, int threads,
                  const std::function<void(std::string_view)>& progress, std::span<const std::size_t> wanted,
                  std::vector<LayerReport>& reports, QuantizedLayers& out) {
  std::vector<MatrixWeight> layers;
  for (const std::size_t i : wanted) layers.push_back(reports[i].where);
  for (std::size_t begin = 0, end; begin < layers.size(); begin = end) {
    end = end_of_pass(layers, begin);
    if (progress) progress(fmt::format("watching the inputs of layers {} to {} of {}", begin + 1, end, layers.size()));
    const std::vector<LayerInputs> inputs =
        observe_inputs(model, std::span(layers).subspan(begin, end - begin), calibration, threads);
    for (std::size_t i = begin; i < end; ++i) {
      if (progress) progress(fmt::format("quantizing layer {} of {}", i + 1, layers.size()));
      const PackedMatrix packed = quantize_layer(model, spec, &inputs[i - begin], threads, reports[wanted[i]]);
      if (packed.n > 0 && option_of(spec, "bias") == "correct")
        out.shift[wanted[i]] = mean_change(inputs[i - begin], matrix_values(model, layers[i]), dequantize(packed),
                                           layers[i].n, layers[i].k);
      out.packed[wanted[i]] = packed;
    }
  }
}

/// Quantizes layers `wanted`, each on one thread. The error of the first layer that has one is thrown after all have
/// ended, so that it does not depend on the number of threads.
void quantize_in_parallel(const Model& model, const QuantSpec& spec, int threads, std::span<const std::size_t> wanted,
                          std::vector<LayerReport>& reports, QuantizedLayers& out) {
  std::vector<std::exception_ptr> errors(wanted.size());
  parallel_for(std::ssize(wanted), threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = std::size_t(begin); i < std::size_t(end); ++i) {
      try {
        out.packed[wanted[i]] = quantize_layer(model, spec, nullptr, 1, reports[wanted[i]]);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

/// Quantizes the layers without a reason against it.
QuantizedLayers quantize_layers(const Model& model, const QuantSpec& spec, const Tensor& calibration, int threads,
                                const std::function<void(std::string_view)>& progress,
                                std::vector<LayerReport>& reports) {
  QuantizedLayers out{std::vector<PackedMatrix>(reports.size()), std::vector<std::vector<double>>(reports.size())};
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < reports.size(); ++i)
    if (reports[i].skipped.empty()) wanted.push_back(i);
  if (progress) progress(fmt::format("quantizing {} layers", wanted.size()));
  if (learns_from_samples(spec))
    learn_layers(model, spec, calibration, threads, progress, wanted, reports, out);
  else
    quantize_in_parallel(model, spec, threads, wanted, reports, out);
  const auto is_stored = [](const PackedMatrix& matrix) { return matrix.n > 0; };
  if (std::none_of(out.packed.begin(), out.packed.end(), is_stored))
    throw Unsupported(fmt::format("quantizer '{}' can store no layer of model '{}': {}", to_text(spec), model.name,
                                  reports[wanted.back()].skipped));
  return out;
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
        fixed ? choose_activation(seen[i], spec) : ActivationQuant{false, spec.activation_bits};
}

}  // namespace

bool learns_from_samples(const QuantSpec& spec) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  if (method->quantize == nullptr) return false;
  const std::vector<QuantizerOption> options = all_options(*method);
  return method->calibration || std::any_of(options.begin(), options.end(), [&](const QuantizerOption& option) {
           return !option.learns.empty() && option_of(spec, option.key) == option.learns;
         });
}

bool needs_calibration(const QuantSpec& spec) {
  return learns_from_samples(spec) || (spec.activation_bits != 32 && option_of(spec, "mode") == "static");
}

QuantizedModel quantize_model(const Model& model, const QuantSpec& spec, const Tensor& calibration, int threads,
                              const std::function<void(std::string_view)>& progress) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr && threads >= 1);
  QuantizedModel out{model, {}};
  const std::vector<MatrixWeight> layers = matrix_weights(model);
  if (method->quantize == nullptr) {
    for (const MatrixWeight& layer : layers) out.layers.push_back(float_report(model, layer, ""));
    return out;
  }
  if (layers.empty())
    throw InputError(fmt::format("quantizer '{}': model '{}' has no Conv, Gemm or MatMul with constant weights",
                                 to_text(spec), model.name));
  const std::vector<std::string> skipped = skipped_layers(model, layers, spec);
  for (std::size_t i = 0; i < layers.size(); ++i) out.layers.push_back(float_report(model, layers[i], skipped[i]));
  QuantizedLayers done = quantize_layers(model, spec, calibration, threads, progress, out.layers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!out.layers[i].skipped.empty()) continue;
    out.model.weights.insert_or_assign(layers[i].weight, std::move(done.packed[i]));
    if (!done.shift[i].empty()) shift_results(out.model, layers[i], done.shift[i]);
  }
  if (spec.activation_bits != 32) set_activations(model, spec, calibration, threads, progress, out.model);
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
