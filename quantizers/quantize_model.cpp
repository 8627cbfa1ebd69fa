#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <set>

#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "models/metrics.h"
#include "quantizers/calibration.h"
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

/// Quantizes the layers without a reason against it, each on one thread. A layer whose shape the method cannot store
/// stays float and gets that reason. The error of the first layer that has one is thrown after all have ended, so that
/// it does not depend on the number of threads.
std::vector<PackedMatrix> quantize_layers(const Model& model, const QuantSpec& spec, std::vector<LayerReport>& reports,
                                          int threads) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  std::vector<PackedMatrix> packed(reports.size());
  std::vector<std::exception_ptr> errors(reports.size());
  parallel_for(std::ssize(reports), threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = std::size_t(begin); i < std::size_t(end); ++i) {
      LayerReport& report = reports[i];
      if (!report.skipped.empty()) continue;
      try {
        const std::vector<float> values = matrix_values(model, report.where);
        const MatrixView<const float> view{values.data(), report.where.n, report.where.k, report.where.k};
        packed[i] = method->quantize({view, report.node}, spec);
        report.format = to_text(packed[i].format);
        report.bits_per_weight = bits_per_weight(packed[i]);
        report.weight_sqnr_db = sqnr_db(values, dequantize(packed[i]));
        report.code_entropy_bits = code_entropy(packed[i]);
      } catch (const Unsupported& error) {
        report.skipped = error.what();
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  const auto is_stored = [](const PackedMatrix& matrix) { return matrix.n > 0; };
  if (std::none_of(packed.begin(), packed.end(), is_stored))
    throw Unsupported(fmt::format("quantizer '{}' can store no layer of model '{}': {}", to_text(spec), model.name,
                                  reports.back().skipped));
  return packed;
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

bool needs_calibration(const QuantSpec& spec) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  return method->calibration || (spec.activation_bits != 32 && option_of(spec, "mode") == "static");
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
  if (progress) progress(fmt::format("quantizing {} layers", layers.size()));
  std::vector<PackedMatrix> packed = quantize_layers(model, spec, out.layers, threads);
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (out.layers[i].skipped.empty()) out.model.weights.insert_or_assign(layers[i].weight, std::move(packed[i]));
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
