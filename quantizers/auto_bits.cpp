// Gives each layer the bits that the whole model can afford, by what each layer's rounding does to the model's results.
// Errors of layers are measured one at a time and taken to add up, as in Dong et al. 2020, HAWQ-V2 (arXiv:1911.03852),
// whose sensitivities are traces of Hessians; here they are measured on the calibration samples themselves.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "kernels/base/elementary.h"
#include "kernels/base/text.h"
#include "models/executor.h"
#include "quantizers/bit_allocation.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/sample_runs.h"

namespace qb {
namespace {

constexpr std::array kBits = {8, 6, 5, 4, 3, 2};

/// The results of a model on the first batch of the calibration samples.
class Trial {
 public:
  Trial(const Model& model, const Tensor& calibration, int threads)
      : model_(model), samples_(first_samples(model, calibration)), threads_(threads) {
    wanted_ = results();
    for (const float value : wanted_) power_ += double(value) * double(value);
    if (!(power_ > 0) || !std::isfinite(power_))
      throw DataError(
          fmt::format("model '{}': its results on the calibration samples are all zero or not finite, so "
                      "nothing says which layers matter",
                      model.name));
  }

  /// Squared change of the results against their power when one weight is another.
  double error_with(const std::string& weight, const PackedMatrix& packed) {
    Weight& place = model_.weights.find(weight)->second;
    const Weight original = std::exchange(place, packed);
    const std::vector<float> got = results();
    place = original;
    double change = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double difference = double(got[i]) - double(wanted_[i]);
      change += difference * difference;
    }
    return std::isfinite(change) ? change / power_ : INFINITY;
  }

 private:
  static Tensor first_samples(const Model& model, const Tensor& calibration) {
    if (calibration.rank() == 0 || calibration.shape[0] == 0)
      throw DataError(
          fmt::format("model '{}': the quantizer needs calibration samples and there are none", model.name));
    return sample_rows(calibration, 0, std::min(kCalibrationBatch, calibration.shape[0]));
  }

  std::vector<float> results() {
    ExecutorOptions options;
    options.batch = samples_.shape[0];
    options.threads = threads_;
    Executor executor(model_, options);
    executor.run(samples_);
    std::vector<float> all;
    for (const Tensor& output : executor.outputs())
      if (output.dtype == DType::f32) all.insert(all.end(), output.as<float>().begin(), output.as<float>().end());
    return all;
  }

  Model model_;
  Tensor samples_;
  int threads_;
  std::vector<float> wanted_;
  double power_ = 0;
};

QuantSpec spec_with(const QuantSpec& spec, int bits) {
  QuantSpec layer;
  layer.method = option_of(spec, "with");
  layer.weight_bits = bits;
  layer.group = spec.group;
  return layer;
}

[[noreturn]] void refuse(const Model& model, const QuantSpec& spec, const std::string& fault) {
  throw Unsupported(fmt::format("quantizer '{}': model '{}' {}", to_text(spec), model.name, fault));
}

/// The allocation that the spec's budget asks for.
Allocation allocate(const Model& model, const QuantSpec& spec, std::span<const std::vector<StorageChoice>> choices,
                    double weights) {
  const std::string_view text = spec.type;
  const bool by_size = text.ends_with("bpw");
  const double amount = parse_double(text.substr(0, text.size() - (by_size ? 3 : 2))).value();
  const Allocation found = by_size ? least_error(choices, std::int64_t(amount * weights / 8))
                                   : least_bytes(choices, portable_exp(-amount / 10 * portable_log(10)));
  if (!found.chosen.empty()) return found;
  double least_bytes_of_all = 0, least_error_of_all = 0;
  for (const std::vector<StorageChoice>& layer : choices) {
    least_bytes_of_all += double(std::ranges::min_element(layer, {}, &StorageChoice::bytes)->bytes);
    least_error_of_all += std::ranges::min_element(layer, {}, &StorageChoice::error)->error;
  }
  if (by_size)
    refuse(model, spec,
           fmt::format("needs at least {:.3f}bpw with {}", std::ceil(8000 * least_bytes_of_all / weights) / 1000,
                       option_of(spec, "with")));
  refuse(model, spec,
         fmt::format("reaches at most {:.1f}dB with {}", std::floor(-100 * std::log10(least_error_of_all)) / 10,
                     option_of(spec, "with")));
}

}  // namespace

std::vector<QuantSpec> plan_bits(const Model& model, std::span<const MatrixWeight> layers, const QuantSpec& spec,
                                 const Tensor& calibration, int threads,
                                 const std::function<void(std::string_view)>& progress) {
  Trial trial(model, calibration, threads);
  std::vector<std::vector<StorageChoice>> choices(layers.size());
  double weights = 0;
  const auto measure = [&](std::size_t i, const LayerInputs* inputs) {
    if (progress)
      progress(fmt::format("measuring what {} widths of layer {} of {} cost", kBits.size(), i + 1, layers.size()));
    const MatrixWeight& layer = layers[i];
    const std::vector<float> values = matrix_values(model, layer);
    weights += double(layer.n) * double(layer.k);
    for (const int bits : kBits) {
      const QuantSpec one = spec_with(spec, bits);
      const PackedMatrix packed =
          find_quantizer(one.method)
              ->quantize(
                  {{values.data(), layer.n, layer.k, layer.k}, model.graph.nodes[layer.node].name, inputs, threads},
                  one);
      choices[i].push_back({packed_bytes(packed), trial.error_with(layer.weight, packed)});
    }
  };
  if (learns_from_samples(spec_with(spec, kBits[0])))
    visit_inputs(model, layers, calibration, threads, progress,
                 [&](std::size_t i, const LayerInputs& inputs) { measure(i, &inputs); });
  else
    for (std::size_t i = 0; i < layers.size(); ++i) measure(i, nullptr);
  std::vector<QuantSpec> specs;
  for (const std::size_t choice : allocate(model, spec, choices, weights).chosen)
    specs.push_back(spec_with(spec, kBits[choice]));
  return specs;
}

}  // namespace qb
