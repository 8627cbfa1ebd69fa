#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "models/import.h"
#include "models/import/constant_node.h"
#include "models/import/used_weights.h"
#include "models/integer_result.h"
#include "models/layer_edits.h"
#include "models/llama.h"
#include "models/manifest.h"

namespace qb {

namespace {

/// Infinities are meaningful elsewhere (a mask, an open bound of Clip), never in the operands of these.
constexpr std::array<std::string_view, 4> kFiniteOnly = {"Conv", "Gemm", "MatMul", "BatchNormalization"};

void check_finite(const Model& model, const std::string& where) {
  std::set<std::string_view> finite_only;
  for (const Node& node : model.graph.nodes)
    if (std::ranges::count(kFiniteOnly, std::string_view(node.op)) > 0)
      finite_only.insert(node.inputs.begin(), node.inputs.end());
  for (const auto& [name, weight] : model.weights) {
    const Tensor* tensor = std::get_if<Tensor>(&weight);
    if (!tensor || tensor->dtype != DType::f32) continue;
    const std::span<const float> values = tensor->as<float>();
    const bool strict = finite_only.contains(name);
    const auto bad =
        std::ranges::find_if(values, [&](float value) { return strict ? !std::isfinite(value) : std::isnan(value); });
    if (bad != values.end())
      throw DataError(fmt::format("{}: weight '{}' of shape {} holds {} at index {}; weights must be finite", where,
                                  name, to_text(tensor->shape), *bad, bad - values.begin()));
  }
}

/// A graph file is a graph's JSON, or an object that holds one under "graph".
Graph read_graph(const std::string& text, const std::string& where) {
  constexpr std::size_t kLongestTensor = std::size_t(1) << 20;
  const Json json =
      parse_json(text, where, Blame::peer, {.depth = 16, .string_bytes = kLongestTensor, .comments = false});
  if (json.is_object() && json.contains("graph")) return graph_from_json(canonical_text(json["graph"]), where);
  return graph_from_json(text, where);
}

Model read_safetensors_model(const ModelManifest& manifest, const FileSource& source) {
  const FileRef& weights = manifest.files.at(0);
  const FileRef& graph = manifest.files.at(1);
  Model model;
  model.graph = read_graph(read_file(source(graph)), graph.path);
  for (auto& [name, tensor] : read_safetensors(read_file(source(weights)), weights.path))
    model.weights.emplace(name, std::move(tensor));
  take_constants(model, graph.path);
  keep_used_weights(model);
  return model;
}

Model read_model(const ModelManifest& manifest, const FileSource& source, const std::string& where) {
  if (manifest.format == "onnx") return read_onnx(read_file(source(manifest.files.at(0))), where);
  if (manifest.format == "safetensors") return read_safetensors_model(manifest, source);
  return random_llama(llama_shape(parse_json(manifest.options, "model options", Blame::peer), where, Blame::peer));
}

void round_codes(Model& model, const std::string& rounding) {
  for (Node& node : model.graph.nodes)
    if (node.op.starts_with("QLinear")) node.attributes.insert_or_assign(std::string(kRoundingAttribute), rounding);
}

}  // namespace

Model load_model(const ModelManifest& manifest, const FileSource& source) {
  const std::string where = manifest.files.empty() ? manifest.name : manifest.files[0].path;
  Model model = read_model(manifest, source, where);
  model.name = manifest.name;
  model.task = manifest.task;
  model.digest = model_digest(manifest);
  if (manifest.rounding != ModelManifest().rounding) round_codes(model, manifest.rounding);
  try {
    check_graph(model);
  } catch (const DataError& fault) {
    throw DataError(fmt::format("{}: {}", where, fault.what()));
  }
  check_finite(model, where);
  fold_batch_norm(model);
  return model;
}

}  // namespace qb
