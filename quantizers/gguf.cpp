// The block types of GGUF files, byte for byte as ggml quantizes them (kernels/gguf_blocks), with and without
// importances (what llama.cpp calls an importance matrix: the mean square of each input).
#include <fmt/format.h>

#include "kernels/gguf_blocks/convert.h"
#include "quantizers/gguf_mixes.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// What llama.cpp stores in place of a type where rows are not whole blocks of it (tensor_type_fallback in
/// src/llama-quant.cpp at 007dbbf).
std::string_view smaller_blocks(std::string_view type) {
  if (type == "iq4_xs") return "iq4_nl";
  if (type == "q4_K") return "q5_0";
  if (type == "q5_K") return "q5_1";
  if (type == "q6_K") return "q8_0";
  if (type == "q2_K" || type == "q3_K" || type == "q2_0" || type == "tq1_0" || type == "tq2_0") return "q4_0";
  return type;
}

/// The block type of the layer: what the spec says, or a mix gives it.
std::string_view wanted_type(const LayerProblem& layer, std::string_view type) {
  if (!is_gguf_mix(type)) return type;
  return layer.layers.empty() ? type.substr(0, 4) : type_in_mix(type, layer.layers, layer.index);
}

}  // namespace

PackedMatrix quantize_gguf(const LayerProblem& layer, const QuantSpec& spec) {
  check_finite(layer);
  const MatrixView<const float>& w = layer.weights;
  const std::string_view wanted = wanted_type(layer, spec.type);
  if (wanted.empty()) throw Unsupported(fmt::format("'{}' leaves the choice among experts float", spec.type));
  const BlockType* type = &block_type(wanted);
  if (w.cols % type->weights != 0) type = &block_type(smaller_blocks(type->name));
  if (w.cols % type->weights != 0)
    throw Unsupported(fmt::format("rows of {} weights are not whole blocks of {}, as {} has them", w.cols,
                                  type->weights, type->name));
  const bool squares = flag_of(spec, "imatrix");
  std::vector<std::uint8_t> blocks;
  const std::int64_t groups = layer.inputs ? std::ssize(layer.inputs->moments) : 1, rows = w.rows / groups;
  for (std::int64_t group = 0; group < groups; ++group) {
    const MatrixView<const float> part{w.row(group * rows), rows, w.cols, w.stride};
    const std::vector<std::uint8_t> more =
        quantize_blocks(*type, part, squares ? input_squares(layer, group) : std::vector<float>());
    blocks.insert(blocks.end(), more.begin(), more.end());
  }
  return packed_from_blocks(*type, blocks, w.rows, w.cols);
}

}  // namespace qb
