// Elements of a study's "models": what people write, turned into a manifest that names every byte.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"
#include "models/data/dataset_options.h"
#include "models/executor.h"
#include "models/integer_result.h"
#include "models/llama.h"
#include "models/manifest.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

FileRef file_ref(const std::string& path, const DataRoots& roots) {
  const fs::path found = roots.find(path);
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(found, error);
  if (error || !fs::is_regular_file(found)) throw InputError(fmt::format("'{}' is not a file", found.string()));
  return {path, sha256_file(found), bytes};
}

bool exists(const std::string& path, const DataRoots& roots) {
  return std::ranges::any_of(roots.folders, [&](const fs::path& folder) {
    std::error_code error;
    return fs::exists(folder / path, error);
  });
}

/// The path with or without ".gz"; the plain file where both exist.
std::string plain_or_gz(const std::string& path, const DataRoots& roots) {
  return !exists(path, roots) && exists(path + ".gz", roots) ? path + ".gz" : path;
}

/// MNIST's names: images and labels of the judged split, then of the training split where it is another and exists.
void add_idx_files(DatasetManifest& data, const std::string& folder, const DataRoots& roots) {
  roots.find(folder);
  const auto add = [&](std::string_view prefix) {
    for (const std::string_view part : {"images-idx3-ubyte", "labels-idx1-ubyte"})
      data.files.push_back(file_ref(plain_or_gz(fmt::format("{}/{}-{}", folder, prefix, part), roots), roots));
  };
  add(data.split == "test" ? "t10k" : "train");
  const std::string training = fmt::format("{}/train-images-idx3-ubyte", folder);
  if (data.split == "test" && exists(plain_or_gz(training, roots), roots)) add("train");
}

/// The names of CIFAR-10's binary version.
void add_cifar_files(DatasetManifest& data, const std::string& folder, const DataRoots& roots) {
  roots.find(folder);
  if (data.split == "test") data.files.push_back(file_ref(fmt::format("{}/test_batch.bin", folder), roots));
  constexpr int kBatches = 5;
  for (int i = 1; i <= kBatches; ++i) {
    const std::string path = fmt::format("{}/data_batch_{}.bin", folder, i);
    if (data.split == "train" || exists(path, roots)) data.files.push_back(file_ref(path, roots));
  }
}

/// When none of the keys that decide is there, a misspelt one is the likeliest fault: the keys of all forms are known.
void refuse_misspelt(Fields fields, const std::vector<std::string>& deciding) {
  for (const std::string& key : deciding) fields.find(key);
  for (const std::string_view key : {"name", "dataset", "task", "graph", "rounding", "split", "labels", "scale", "mean",
                                     "deviation", "shape", "classes", "calibration", "zero"})
    fields.find(key);
  fields.done();
}

constexpr std::string_view kFileKinds[] = {"idx", "csv", "bytes", "npy", "cifar"};
constexpr std::string_view kGeneratedKinds[] = {"glyphs", "grammar", "generated"};

/// Which kind an entry names; exactly one.
std::string kind_of(Fields& fields) {
  std::vector<std::string> all, named;
  for (const auto& kinds :
       {std::span<const std::string_view>(kFileKinds), std::span<const std::string_view>(kGeneratedKinds)})
    for (const std::string_view kind : kinds) {
      all.emplace_back(kind);
      if (fields.has(kind)) named.emplace_back(kind);
    }
  if (named.size() == 1) return named[0];
  if (named.empty()) refuse_misspelt(fields, all);
  throw InputError(fmt::format("{}: names {} kinds of data; exactly one of {} is accepted", fields.where(),
                               named.size(), join(all, ", ")));
}

DatasetManifest read_generated(Fields& fields, const std::string& kind) {
  DatasetManifest data;
  data.kind = kind;
  data.name = fields.text_or("name", kind == "generated" ? "generated pictures, answers of the float model" : kind);
  if (kind != "generated") {
    data.options = checked_options(kind, fields.at(kind), fmt::format("{}: {}", fields.where(), kind), Blame::user);
    return data;
  }
  Json options = {{kind, fields.at(kind)}};
  for (const char* key : {"scale", "mean", "deviation"})
    if (const Json* value = fields.find(key)) options[key] = *value;
  data.options = checked_options(kind, options, fields.where(), Blame::user);
  return data;
}

DatasetManifest read_dataset(const Json& entry, const std::string& where, const DataRoots& roots) {
  Fields fields(entry, where, Blame::user);
  const std::string kind = kind_of(fields);
  if (std::ranges::count(kGeneratedKinds, kind) > 0) {
    DatasetManifest data = read_generated(fields, kind);
    fields.done();
    return data;
  }
  DatasetManifest data;
  data.kind = kind;
  const std::string path = fields.text(kind);
  data.name = fields.text_or("name", fs::path(path).stem().string());
  data.split = fields.text_or("split", "test");
  if (data.split != "test" && data.split != "train")
    fields.fail("split", fmt::format("is '{}'{}", data.split, suggestion(data.split, {"test", "train"})));
  const bool labelled = kind == "bytes" || kind == "npy";
  const std::string labels = labelled ? fields.text("labels") : "";
  data.options = to_text(read_sample_options(fields, kind));
  fields.done();
  if (kind == "idx") {
    add_idx_files(data, path, roots);
  } else if (kind == "cifar") {
    add_cifar_files(data, path, roots);
  } else {
    data.files.push_back(file_ref(path, roots));
    if (labelled) data.files.push_back(file_ref(labels, roots));
  }
  return data;
}

Task read_task(Fields& fields) {
  const std::string text = fields.text_or("task", "classification");
  for (const Task task : {Task::classification, Task::language})
    if (name_of(task) == text) return task;
  fields.fail("task", fmt::format("is '{}'{}", text, suggestion(text, {"classification", "language"})));
}

ModelManifest read_zoo_model(const std::string& name, const std::string& where, const DataRoots& roots) {
  const std::vector<std::string> names = zoo_model_names(roots);
  if (std::ranges::count(names, name) == 0)
    throw InputError(fmt::format("{}: '{}' is not a model of the zoo{}", where, name,
                                 names.empty() ? ", which is empty" : suggestion(name, names)));
  const std::string folder = fmt::format("zoo/{}", name);
  ModelManifest manifest;
  manifest.name = name;
  manifest.format = "safetensors";
  manifest.files = {file_ref(folder + "/weights.safetensors", roots), file_ref(folder + "/model.json", roots)};
  const std::string& path = manifest.files[1].path;
  const Json json = parse_json(read_file(roots.find(path)), path, Blame::peer);
  Fields fields(json, path, Blame::peer);
  manifest.task = read_task(fields);
  manifest.dataset = read_dataset(fields.at("dataset"), fmt::format("{}: dataset", path), roots);
  if (fields.text_or("sha256", manifest.files[0].sha256) != manifest.files[0].sha256)
    throw DataError(fmt::format("'{}' is not the file that '{}' was written for: their digests differ",
                                manifest.files[0].path, path));
  return manifest;
}

constexpr std::size_t kLongestName = 64;

void check_name(const Fields& fields, const std::string& name) {
  if (name.empty() || name.size() > kLongestName)
    fields.fail("name", fmt::format("must have 1 to {} bytes", kLongestName));
}

/// A model of random weights, by its sizes.
ModelManifest read_llama_model(Fields& fields, const DataRoots& roots) {
  ModelManifest manifest;
  manifest.format = "llama";
  const LlamaShape shape = llama_shape(fields.at("llama"), fmt::format("{}: llama", fields.where()), Blame::user);
  manifest.options = to_text(shape);
  manifest.name = fields.text_or("name", "llama");
  check_name(fields, manifest.name);
  const Json& dataset = fields.at("dataset");
  fields.done();
  const std::string where = fmt::format("{}: dataset", fields.where());
  manifest.dataset = read_dataset(dataset, where, roots);
  if (manifest.dataset.kind != "generated") return manifest;
  const Json options = parse_json(manifest.dataset.options, where, Blame::user);
  const std::int64_t ids = generated_options(options, where, Blame::user).pictures.ids;
  if (ids < 1 || ids > shape.vocabulary)
    throw InputError(fmt::format(R"({}: generated: key 'ids' is {}; accepted is 1 to the vocabulary's {})", where, ids,
                                 shape.vocabulary));
  return manifest;
}

ModelManifest read_file_model(const Json& entry, const std::string& where, const DataRoots& roots) {
  Fields fields(entry, where, Blame::user);
  ModelManifest manifest;
  const bool onnx = fields.has("onnx"), safetensors = fields.has("safetensors"), llama = fields.has("llama");
  if (!onnx && !safetensors && !llama) refuse_misspelt(fields, {"onnx", "safetensors", "llama"});
  if (int(onnx) + int(safetensors) + int(llama) != 1)
    throw InputError(fmt::format(R"({}: names {} of "onnx", "safetensors" and "llama"; exactly one is accepted)", where,
                                 int(onnx) + int(safetensors) + int(llama)));
  if (llama) return read_llama_model(fields, roots);
  manifest.format = onnx ? "onnx" : "safetensors";
  const std::string path = fields.text(manifest.format);
  manifest.name = fields.text_or("name", fs::path(path).stem().string());
  check_name(fields, manifest.name);
  std::string graph = onnx ? "" : fields.text("graph");
  manifest.task = read_task(fields);
  manifest.rounding = read_rounding(fields);
  const Json& dataset = fields.at("dataset");
  fields.done();
  manifest.files.push_back(file_ref(path, roots));
  if (!onnx && !exists(graph, roots) && exists("models/" + graph, roots)) graph = "models/" + graph;
  if (!onnx) manifest.files.push_back(file_ref(graph, roots));
  manifest.dataset = read_dataset(dataset, fmt::format("{}: dataset", where), roots);
  return manifest;
}

std::ptrdiff_t rounded_nodes(const Model& model) {
  return std::ranges::count_if(model.graph.nodes,
                               [](const Node& node) { return node.attributes.contains(kRoundingAttribute); });
}

/// Loads everything once: what cannot work is refused before any unit starts.
void check_loads(const ModelManifest& manifest, const std::string& where, const DataRoots& roots) {
  const FileSource source = [&](const FileRef& file) { return roots.find(file.path); };
  if (manifest.dataset.kind == "generated" && manifest.task == Task::language)
    throw InputError(
        fmt::format("{}: generated samples have no next token for a model of language; \"grammar\" has", where));
  const Model model = load_model(manifest, source);
  if (manifest.rounding != ModelManifest().rounding && rounded_nodes(model) == 0)
    throw InputError(
        fmt::format("{}: \"rounding\" is '{}', but the model has no QLinearConv or QLinearMatMul that would round so",
                    where, manifest.rounding));
  const bool runs = manifest.dataset.kind == "generated";  // to find the answers of the only sample
  const Dataset judged = load_dataset(manifest, "test", 1, 0, source, &model);
  if (!runs) load_dataset(manifest, "calibration", 1, 0, source);
  const ValueInfo& input = model.graph.inputs.at(0);
  Shape wanted = input.shape;
  if (!wanted.empty() && wanted[0] == -1) wanted[0] = judged.inputs.shape[0];
  if (model.graph.inputs.size() != 1 || input.dtype != DType::f32)
    throw InputError(fmt::format("{}: the model has {} inputs, the first of type {}; accepted is one of type f32",
                                 where, model.graph.inputs.size(), name_of(input.dtype)));
  if (judged.inputs.shape != wanted)
    throw InputError(
        fmt::format("{}: the model's input '{}' has the shape {}, one sample of '{}' has {}{}", where, input.name,
                    to_text(wanted), manifest.dataset.name, to_text(judged.inputs.shape),
                    judged.inputs.size() == element_count(wanted) ? "; the dataset's \"shape\" can change it" : ""));
  if (!runs) const Executor planned(model, {});  // refuses operators and weights whose shapes do not fit
}

}  // namespace

std::vector<std::string> zoo_model_names(const DataRoots& roots) {
  std::vector<std::string> names;
  for (const fs::path& folder : roots.folders) {
    std::error_code error;
    for (fs::directory_iterator entry(folder / "zoo", error), end; !error && entry != end; entry.increment(error)) {
      std::error_code missing;
      if (fs::is_regular_file(entry->path() / "model.json", missing))
        names.push_back(entry->path().filename().string());
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

ModelManifest read_model_entry(const Json& entry, const std::string& where, const DataRoots& roots) {
  const ModelManifest manifest =
      entry.is_string() ? read_zoo_model(entry.get<std::string>(), where, roots) : read_file_model(entry, where, roots);
  check_loads(manifest, where, roots);
  return manifest;
}

}  // namespace qb
