#include "models/fixed_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/activation_rows.h"
#include "kernels/base/parallel.h"
#include "models/weight_matrix.h"

namespace qb {

namespace {

/// Empty, or why sums of products with these weights have no scale of their own.
std::string fault_of_weights(const PackedMatrix& weights) {
  const QuantFormat& format = weights.format;
  if (format.kind != CodeKind::integer || format.sharing == Sharing::group || format.offsets)
    return fmt::format("weights packed as {} give no integer sums; q8c and its like do", to_text(format));
  if (std::any_of(weights.scales.begin(), weights.scales.end(), [](float scale) { return !(scale > 0); }))
    return "a weight scale is not positive";
  return "";
}

std::int32_t saturated(double value) {
  constexpr double kLow = std::numeric_limits<std::int32_t>::min(), kHigh = std::numeric_limits<std::int32_t>::max();
  return std::int32_t(std::clamp(std::nearbyint(value), kLow, kHigh));
}

}  // namespace

FixedResult plan_fixed_result(const OpSite& site, const PackedMatrix& weights) {
  const Node& node = *site.node;
  const auto refuse = [&](std::string_view why) {
    throw Unsupported(fmt::format("node '{}' ({}): its result cannot be requantized: {}", node.name, node.op, why));
  };
  if (const std::string fault = fault_of_weights(weights); !fault.empty()) refuse(fault);
  const bool has_bias = site.has(2);
  const Tensor* bias = has_bias ? site.inputs[2].constant : nullptr;
  if (has_bias && (!bias || bias->size() != weights.n || bias->shape.empty() || bias->shape.back() != weights.n ||
                   (node.op == "Gemm" && node.number_or("beta", 1.0f) != 1.0f)))
    refuse("the bias is not a constant with one value per channel");
  FixedResult fixed;
  fixed.quant = *node.result;
  const CodeRange codes = code_range({RowScaling::Kind::fixed, fixed.quant.bits, fixed.quant.scale, fixed.quant.zero});
  fixed.low = codes.low;
  fixed.high = codes.high;
  for (std::int64_t c = 0; c < weights.n; ++c) {
    const float scale = weights.scales[std::size_t(weights.parameter_index(c, 0))];
    FixedResult::Channel& channel = fixed.channels.emplace_back();
    channel.step = double(node.activation->scale) * double(scale);
    const double ratio = channel.step / double(fixed.quant.scale);
    if (!(ratio < 0x1p30)) refuse(fmt::format("channel {} would be multiplied by {}, not less than 2^30", c, ratio));
    channel.multiplier = fixed_multiplier(ratio);
    if (bias) channel.bias = saturated(double(bias->as<float>()[std::size_t(c)]) / channel.step);
  }
  return fixed;
}

void requantize_results(const FixedResult& fixed, std::int64_t rows, std::int64_t positions, float* y, int threads) {
  const auto count = std::ssize(fixed.channels);
  const ResultQuant& quant = fixed.quant;
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t run = begin; run < end; ++run) {
      const FixedResult::Channel& channel = fixed.channels[std::size_t(run % count)];
      const double per_step = 1 / channel.step;
      float* values = y + run * positions;
      for (std::int64_t i = 0; i < positions; ++i) {
        const std::int32_t sum = saturated(double(values[i]) * per_step + channel.bias);
        const std::int64_t code = std::int64_t(requantize(sum, channel.multiplier, quant.rounding)) + quant.zero;
        const auto kept = std::int32_t(std::clamp<std::int64_t>(code, fixed.low, fixed.high));
        values[i] = float(kept - quant.zero) * quant.scale;
      }
    }
  };
  constexpr std::int64_t kValuesPerThread = 4096;
  parallel_for(rows * count, threads,
               std::max<std::int64_t>(1, kValuesPerThread / std::max<std::int64_t>(1, positions)), std::cref(part));
}

namespace {

/// Operators whose results are codes of any grid that their inputs are codes of, once they are quantized again: they
/// choose or move elements, or cut at bounds that round as the elements do.
constexpr std::array<std::string_view, 15> kKeepsCodes = {"Clip",     "Concat",  "Expand",  "Flatten",   "Gather",
                                                          "Identity", "MaxPool", "Pad",     "Relu",      "Reshape",
                                                          "Slice",    "Split",   "Squeeze", "Transpose", "Unsqueeze"};

/// What reads a value in the end, seen through kKeepsCodes.
class Readers {
 public:
  explicit Readers(const Graph& graph) : graph_(graph) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
      for (std::size_t input = 0; input < graph.nodes[i].inputs.size(); ++input)
        readers_[graph.nodes[i].inputs[input]].emplace_back(i, input);
  }

  /// The one grid that all readers of a value quantize it to; nothing, and the reason, where they do not.
  std::optional<ActivationQuant> common_grid(const std::string& value, std::string& reason) const {
    std::optional<ActivationQuant> grid;
    if (!collect(value, grid, reason)) return std::nullopt;
    if (!grid) reason = "nothing reads its result";
    return grid;
  }

 private:
  bool collect(const std::string& value, std::optional<ActivationQuant>& grid, std::string& reason) const {
    if (std::find(graph_.outputs.begin(), graph_.outputs.end(), value) != graph_.outputs.end()) {
      reason = "its result leaves the graph";
      return false;
    }
    const auto found = readers_.find(value);
    if (found == readers_.end()) return true;
    for (const auto& [index, input] : found->second) {
      const Node& node = graph_.nodes[index];
      if (std::find(kKeepsCodes.begin(), kKeepsCodes.end(), node.op) != kKeepsCodes.end()) {
        for (const std::string& output : node.outputs)
          if (!output.empty() && !collect(output, grid, reason)) return false;
      } else if (input != 0 || !node.activation || !node.activation->is_static) {
        reason = fmt::format("node '{}' ({}) reads its result as floats", node.name, node.op);
        return false;
      } else if (grid && *grid != *node.activation) {
        reason = fmt::format("node '{}' ({}) quantizes its result otherwise than another reader", node.name, node.op);
        return false;
      } else {
        grid = node.activation;
      }
    }
    return true;
  }

  const Graph& graph_;
  std::map<std::string, std::vector<std::pair<std::size_t, std::size_t>>, std::less<>> readers_;
};

OpSite site_of(const Model& model, const Node& node) {
  OpSite site{&node, model.graph.opset, std::vector<OpInput>(std::max<std::size_t>(node.inputs.size(), 3))};
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    site.inputs[i].given = !node.inputs[i].empty();
    const auto weight = model.weights.find(node.inputs[i]);
    if (weight != model.weights.end()) site.inputs[i].constant = std::get_if<Tensor>(&weight->second);
  }
  return site;
}

}  // namespace

FixedLayers requantize_in_fixed_point(Model& model, Requantization rounding) {
  FixedLayers out;
  const Readers readers(model.graph);
  for (const MatrixWeight& use : matrix_uses(model)) {
    Node& node = model.graph.nodes[use.node];
    const auto* packed = std::get_if<PackedMatrix>(&model.weights.find(use.weight)->second);
    std::string reason;
    if (!packed || !node.activation || !node.activation->is_static) {
      out.left.emplace_back(node.name, "its activations are no static codes");
      continue;
    }
    const std::optional<ActivationQuant> grid = readers.common_grid(node.outputs[0], reason);
    if (grid) {
      node.result = ResultQuant{grid->bits, grid->scale, grid->zero, rounding};
      try {
        plan_fixed_result(site_of(model, node), *packed);
      } catch (const Unsupported& error) {
        node.result.reset();
        reason = error.what();
      }
    }
    if (node.result)
      out.fixed.push_back(node.name);
    else
      out.left.emplace_back(node.name, reason);
  }
  return out;
}

}  // namespace qb
