// The quantizer table and the one call that turns a float model into a packed one.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/tensor.h"
#include "models/graph.h"
#include "models/weight_matrix.h"
#include "quantizers/quant_spec.h"

namespace qb {

struct QuantizerOption {
  std::string_view key, otherwise;  ///< name and default
  std::string_view accepted;        ///< "a|b|c" for words, "number 0..1" or "integer 1..100" for ranges
  std::string_view meaning;
  std::string_view
      needs;  ///< without this the option is refused: "a<bits>", or "key=value" of another option; "" for nothing
  std::string_view learns = "";  ///< the value with which something is learnt from calibration samples; "" for none
};

struct LayerInputs;

/// What a model calls one of its matrices, and its size where that is known.
struct LayerName {
  std::string node, weight;
  std::int64_t rows = 0, columns = 0;
};

/// One matrix to quantize.
struct LayerProblem {
  MatrixView<const float> weights;         ///< [n, k], finite
  std::string_view node;                   ///< for messages
  const LayerInputs* inputs = nullptr;     ///< what calibration saw; null unless the method needs it
  int threads = 1;                         ///< that the method may use; results do not depend on it
  std::span<const LayerName> layers = {};  ///< all matrices of the model in order; empty where it is not known
  std::size_t index = 0;                   ///< of this one among them
};

/// One method. Adding one: a file with its `quantize` function, and a row in registry.cpp.
struct QuantizerInfo {
  std::string_view name;
  std::string_view summary;
  std::string_view paper = "";  ///< "" for folklore
  std::string_view types =
      "";  ///< "e4m3|e5m2": names of formats, which stand in a spec in place of w<bits>; "" for none
  int min_bits = 0, max_bits = 0;                 ///< of a code
  bool groups = false;                            ///< accepts g<size>
  bool activations = true;                        ///< accepts a<bits>
  bool calibration = false;                       ///< needs samples even without a<bits>
  std::span<const QuantizerOption> options = {};  ///< of weights; others are shared (options.h)
  PackedMatrix (*quantize)(const LayerProblem&, const QuantSpec&) = nullptr;  ///< null for `float` and with a plan
  std::string_view formats = "";      ///< of the packed weights, as QuantFormat text
  std::string_view preparation = "";  ///< the step (preparation.h) that belongs to the method; "" for none
  std::vector<QuantSpec> (*plan)(const Model&, std::span<const MatrixWeight>, const QuantSpec&,
                                 const Tensor& calibration, int threads,
                                 const std::function<void(std::string_view)>& progress) =
      nullptr;  ///< for methods that give each layer a spec of another method; they take a budget in place of w<bits>
  bool quantizes() const { return quantize != nullptr || plan != nullptr; }
};
std::span<const QuantizerInfo> quantizers();
const QuantizerInfo* find_quantizer(std::string_view name);
std::vector<std::string> quantizer_names();

/// Whether something is learnt from calibration samples: by the method always, or because an option asks for it.
bool learns_from_samples(const QuantSpec& spec);

/// Whether quantize_model() reads its calibration samples: for fixed activation ranges, or because the method learns
/// from them.
bool needs_calibration(const QuantSpec& spec);

/// What became of one matrix.
struct LayerReport {
  MatrixWeight where;
  std::string node, op;
  std::string format;  ///< QuantFormat text, "f32" when skipped
  double bits_per_weight = 32;
  double weight_sqnr_db = 0;     ///< float weights against decoded weights; +inf when equal
  double code_entropy_bits = 0;  ///< of the code histogram; 0 when skipped
  double seconds = 0;            ///< that the method took; watching the calibration samples is not in it
  std::int64_t peak_bytes = -1;  ///< that the method held at once, its result included; -1 where layers were quantized
                                 ///< side by side, or allocations cannot be counted (allocations.h)
  std::string skipped;           ///< why it stayed float; empty when quantized, and for the method `float`
  std::string prepared;          ///< what steps before and after quantizing did to it; empty for nothing
};

struct QuantizedModel {
  Model model;
  std::optional<Model> prepared;    ///< the float model after the spec's preparations, where there are such
  std::vector<LayerReport> layers;  ///< one per entry of matrix_weights(model)
};

/// Quantizes every matrix weight (options `skip=first|last|NAME[+NAME..]` leave some float, and say so), and sets
/// Node::activation where the spec has a<bits>, from `calibration` samples [count, ...] run through the float model.
///
/// Errors  InputError for a spec that does not fit the model; DataError, naming the layer, for weights or activations
///         that are not finite, and for an empty calibration set where one is needed; Unsupported where the method can
///         store no layer at all, or not within its budget. Layers that it cannot store stay float and say so
///         (LayerReport::skipped).
QuantizedModel quantize_model(const Model& model, const QuantSpec& spec, const Tensor& calibration, int threads,
                              const std::function<void(std::string_view)>& progress = {});

/// Bytes of all weights: matrices packed or float, and everything else (biases, norms) as float.
struct ModelBytes {
  std::int64_t packed = 0;        ///< matrix weights as stored, everything counted
  std::int64_t other = 0;         ///< all other weights
  double bits_per_weight = 0;     ///< over matrix weights
  double bits_per_parameter = 0;  ///< over all weights
};
ModelBytes model_bytes(const Model& model);

}  // namespace qb
