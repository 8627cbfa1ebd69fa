#include "quantizers/quantize_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>

#include "kernels/base/allocations.h"
#include "kernels/base/clock.h"
#include "kernels/base/parallel.h"
#include "models/metrics.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/options.h"
#include "quantizers/quantized_inputs.h"

namespace qb {
namespace {

/// Part of the mean diagonal of the inputs' moments that is added to it when a layer's targets are solved for.
double target_damp(const QuantSpec& spec) { return knows_option(spec, "damp") ? number_of(spec, "damp") : 0.01; }

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

/// Quantizes one layer and completes its report, which speaks of the model's own weights. `problem` lacks only what the
/// report says (name and weights, unless these are others). `alone`: nobody else works in this process meanwhile.
PackedMatrix quantize_layer(const Model& model, const QuantSpec& spec, LayerProblem problem, bool alone,
                            LayerReport& report) {
  const std::vector<float> values = matrix_values(model, report.where);
  if (problem.weights.rows == 0) problem.weights = {values.data(), report.where.n, report.where.k, report.where.k};
  problem.node = report.node;
  PackedMatrix packed;
  const std::int64_t begin_ns = now_ns();
  std::optional<AllocationCount> count;
  if (alone) count.emplace();
  try {
    packed = find_quantizer(spec.method)->quantize(problem, spec);
  } catch (const Unsupported& error) {
    report.skipped = error.what();
    return packed;
  }
  report.seconds = double(now_ns() - begin_ns) * 1e-9;
  if (count) report.peak_bytes = count->peak();
  count.reset();
  report.format = to_text(packed.format);
  report.bits_per_weight = bits_per_weight(packed);
  report.weight_sqnr_db = sqnr_db(values, dequantize(packed));
  report.code_entropy_bits = code_entropy(packed);
  return packed;
}

/// One model's layers on their way: those that are wanted, and by what spec.
class Layers {
 public:
  Layers(const LayerWork& work, std::vector<LayerReport>& reports) : work_(work), reports_(reports) {
    out_.packed.resize(reports.size());
    out_.shift.resize(reports.size());
    for (const LayerReport& report : reports)
      names_.push_back({report.node, report.where.weight, report.where.n, report.where.k});
    for (std::size_t i = 0; i < reports.size(); ++i) {
      if (!reports[i].skipped.empty()) continue;
      wanted_.push_back(i);
      where_.push_back(reports[i].where);
    }
    const auto plan = find_quantizer(work.spec.method)->plan;
    specs_ = plan ? plan(work.model, where_, work.spec, work.calibration, work.threads, work.progress)
                  : std::vector<QuantSpec>(wanted_.size(), work.spec);
  }

  QuantizedLayers run() {
    say(fmt::format("quantizing {} layers", wanted_.size()));
    const bool corrects = option_of(work_.spec, "bias") == "correct";
    const std::string_view inputs = knows_option(work_.spec, "inputs") ? option_of(work_.spec, "inputs") : "float";
    if (inputs != "float")
      learn_in_turn(corrects, inputs == "asymmetric");
    else if (corrects || std::ranges::any_of(specs_, learns_from_samples))
      learn(corrects);
    else
      quantize_in_parallel();
    const auto is_stored = [](const PackedMatrix& matrix) { return matrix.n > 0; };
    if (std::ranges::none_of(out_.packed, is_stored))
      throw Unsupported(fmt::format("quantizer '{}' can store no layer of model '{}': {}", to_text(work_.spec),
                                    work_.model.name, reports_[wanted_.back()].skipped));
    return std::move(out_);
  }

 private:
  void say(std::string_view text) const {
    if (work_.progress) work_.progress(text);
  }

  LayerProblem problem(std::size_t i, const LayerInputs* inputs, int threads) const {
    return {{}, {}, inputs, threads, names_, wanted_[i]};
  }

  /// One after another, each with what the samples send into it.
  void learn(bool corrects) {
    visit_inputs(work_.model, where_, work_.calibration, work_.threads, work_.progress,
                 [&](std::size_t i, const LayerInputs& inputs) {
                   say(fmt::format("quantizing layer {} of {}", i + 1, wanted_.size()));
                   const MatrixWeight& layer = where_[i];
                   PackedMatrix packed = quantize_layer(work_.model, specs_[i], problem(i, &inputs, work_.threads),
                                                        /*alone=*/true, reports_[wanted_[i]]);
                   if (packed.n > 0 && corrects)
                     out_.shift[wanted_[i]] =
                         mean_change(inputs, matrix_values(work_.model, layer), dequantize(packed), layer.n, layer.k);
                   out_.packed[wanted_[i]] = std::move(packed);
                 });
  }

  /// One after another, each with what the samples send into it through the quantized layers before it.
  void learn_in_turn(bool corrects, bool asymmetric) {
    QuantizedInputs inputs(work_.model, work_.calibration, asymmetric, work_.threads);
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      say(fmt::format("quantizing layer {} of {}", i + 1, wanted_.size()));
      const MatrixWeight& layer = where_[i];
      const QuantizedInputs::Seen seen = inputs.at(layer);
      const std::vector<float> weights = matrix_values(work_.model, layer);
      LayerProblem one = problem(i, &seen.inputs, work_.threads);
      std::vector<float> targets;
      if (asymmetric) {
        targets = asymmetric_targets(weights, layer.n, layer.k, seen, target_damp(work_.spec));
        one.weights = {targets.data(), layer.n, layer.k, layer.k};
      }
      PackedMatrix packed = quantize_layer(work_.model, specs_[i], one, /*alone=*/true, reports_[wanted_[i]]);
      if (packed.n > 0) {
        const std::vector<float> decoded = dequantize(packed);
        if (corrects) out_.shift[wanted_[i]] = mean_change(seen, weights, decoded, layer.n, layer.k);
        inputs.replace(layer, decoded, out_.shift[wanted_[i]]);
      }
      out_.packed[wanted_[i]] = std::move(packed);
    }
  }

  /// Each on one thread. The error of the first layer that has one is thrown after all have ended, so that it does not
  /// depend on the number of threads.
  void quantize_in_parallel() {
    std::vector<std::exception_ptr> errors(wanted_.size());
    parallel_for(std::ssize(wanted_), work_.threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = std::size_t(begin); i < std::size_t(end); ++i) {
        try {
          out_.packed[wanted_[i]] =
              quantize_layer(work_.model, specs_[i], problem(i, nullptr, 1), work_.threads == 1, reports_[wanted_[i]]);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      }
    });
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }

  const LayerWork& work_;
  std::vector<LayerReport>& reports_;
  QuantizedLayers out_;
  std::vector<LayerName> names_;     ///< by report
  std::vector<std::size_t> wanted_;  ///< indices of reports
  std::vector<MatrixWeight> where_;  ///< by wanted layer
  std::vector<QuantSpec> specs_;     ///< by wanted layer
};

}  // namespace

QuantizedLayers quantize_layers(const LayerWork& work, std::vector<LayerReport>& reports) {
  return Layers(work, reports).run();
}

}  // namespace qb
