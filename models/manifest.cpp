#include "models/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "models/data/dataset_options.h"
#include "models/integer_result.h"
#include "models/llama.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLongestPath = 1024, kMostFiles = 64;

/// A relative path with '/' that stays below its root.
bool safe_path(const std::string& path) {
  if (path.empty() || path.size() > kLongestPath || path[0] == '/' || path.find('\\') != std::string::npos ||
      !valid_utf8(path))
    return false;
  return std::ranges::none_of(split(path, '/'), [](std::string_view part) { return part == ".." || part.empty(); });
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Json to_json(const std::vector<FileRef>& files) {
  Json list = Json::array();
  for (const FileRef& file : files)
    list.push_back({{"path", file.path}, {"sha256", file.sha256}, {"bytes", file.bytes}});
  return list;
}

std::vector<FileRef> files_from_json(Fields& parent, Blame blame) {
  const Json& list = parent.array("files");
  if (list.size() > kMostFiles)
    parent.fail("files", fmt::format("names {} files; at most {} are accepted", list.size(), kMostFiles));
  std::vector<FileRef> files;
  for (const Json& element : list) {
    Fields fields(element, fmt::format("{}: files[{}]", parent.where(), files.size()), blame);
    FileRef file;
    file.path = fields.text("path");
    file.sha256 = fields.text("sha256");
    file.bytes = std::uint64_t(fields.integer("bytes", 0, std::int64_t(1) << 50));
    fields.done();
    if (!safe_path(file.path)) fields.fail("path", "is not a relative path below the data folders");
    if (!is_sha256(file.sha256)) fields.fail("sha256", "is not 64 lower-case hexadecimal digits");
    files.push_back(std::move(file));
  }
  return files;
}

/// Fewest and most files of each kind of dataset.
struct KindRow {
  std::string_view kind;
  std::size_t fewest, most;
};
constexpr KindRow kKinds[] = {{"idx", 2, 4},   {"csv", 1, 1},    {"bytes", 2, 2},   {"npy", 2, 2},
                              {"cifar", 1, 6}, {"glyphs", 0, 0}, {"grammar", 0, 0}, {"generated", 0, 0}};

DatasetManifest dataset_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  DatasetManifest dataset;
  dataset.kind = fields.text("kind");
  dataset.name = fields.text("name");
  dataset.split = fields.text("split");
  dataset.files = files_from_json(fields, blame);
  const Json& options = fields.at("options");
  fields.done();
  const auto row = std::ranges::find(kKinds, std::string_view(dataset.kind), &KindRow::kind);
  if (row == std::end(kKinds)) {
    std::vector<std::string> kinds;
    for (const KindRow& known : kKinds) kinds.emplace_back(known.kind);
    fields.fail("kind", fmt::format("is '{}'{}", dataset.kind, suggestion(dataset.kind, kinds)));
  }
  if (dataset.files.size() < row->fewest || dataset.files.size() > row->most)
    fields.fail("files", fmt::format("names {} files; kind '{}' has {} to {}", dataset.files.size(), dataset.kind,
                                     row->fewest, row->most));
  if (dataset.split != "test" && dataset.split != "train") fields.fail("split", "is neither 'test' nor 'train'");
  dataset.options = checked_options(dataset.kind, options, fmt::format("{}: options", where), blame);
  return dataset;
}

/// How many files a model of each format has.
struct FormatRow {
  std::string_view format;
  std::size_t files;
};
constexpr FormatRow kFormats[] = {{"onnx", 1}, {"safetensors", 2}, {"llama", 0}};

Task task_from_text(const std::string& text, const Fields& fields) {
  for (const Task task : {Task::classification, Task::language})
    if (name_of(task) == text) return task;
  fields.fail("task", fmt::format("is '{}'{}", text, suggestion(text, {"classification", "language"})));
}

std::string digest_of(const Json& what) { return sha256_hex(canonical_text(what)); }

Json digests(const std::vector<FileRef>& files) {
  Json list = Json::array();
  for (const FileRef& file : files) list.push_back(file.sha256);
  return list;
}

}  // namespace

fs::path DataRoots::find(const std::string& path) const {
  if (!safe_path(path))
    throw InputError(
        fmt::format("'{}' is not a path below the data folders; accepted are relative paths without '..'", path));
  std::vector<std::string> searched, names;
  for (const fs::path& folder : folders) {
    std::error_code error;
    if (fs::exists(folder / path, error)) return folder / path;
    searched.push_back(fmt::format("'{}'", folder.string()));
    const fs::path parent = (folder / path).parent_path();
    for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error))
      names.push_back(entry->path().filename().string());
  }
  const std::string near = nearest_name(fs::path(path).filename().string(), names);
  throw InputError(fmt::format(
      "'{}' is in none of the data folders {}{}", path, searched.empty() ? "(none are given)" : join(searched, ", "),
      near.empty() ? "" : fmt::format("; did you mean '{}'?", (fs::path(path).parent_path() / near).string())));
}

std::string read_rounding(Fields& fields) {
  const std::string name = fields.text_or("rounding", ModelManifest().rounding);
  if (!code_rounding(name))
    fields.fail("rounding", fmt::format("is '{}'{}", name, suggestion(name, code_rounding_names())));
  return name;
}

Json to_json(const ModelManifest& manifest) {
  const DatasetManifest& data = manifest.dataset;
  const Json options = parse_json(data.options.empty() ? "{}" : data.options, "dataset options", Blame::peer);
  return {{"name", manifest.name},
          {"format", manifest.format},
          {"files", to_json(manifest.files)},
          {"options", parse_json(manifest.options, "model options", Blame::peer)},
          {"task", name_of(manifest.task)},
          {"rounding", manifest.rounding},
          {"dataset",
           {{"kind", data.kind},
            {"name", data.name},
            {"split", data.split},
            {"files", to_json(data.files)},
            {"options", options}}}};
}

ModelManifest manifest_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  ModelManifest manifest;
  manifest.name = fields.text("name");
  manifest.format = fields.text("format");
  manifest.files = files_from_json(fields, blame);
  manifest.task = task_from_text(fields.text("task"), fields);
  manifest.rounding = read_rounding(fields);
  const Json& options = fields.at("options");
  manifest.dataset = dataset_from_json(fields.at("dataset"), fmt::format("{}: dataset", where), blame);
  fields.done();
  const auto row = std::ranges::find(kFormats, std::string_view(manifest.format), &FormatRow::format);
  if (row == std::end(kFormats))
    fields.fail("format",
                fmt::format("is '{}'{}", manifest.format, suggestion(manifest.format, {"onnx", "safetensors", "llama"})));
  if (manifest.format == "llama")
    manifest.options = to_text(llama_shape(options, fmt::format("{}: options", where), blame));
  else if (options != Json::object())
    fields.fail("options", fmt::format("are not empty; a model in format {} has none", manifest.format));
  if (manifest.dataset.kind == "generated" && manifest.task == Task::language)
    fields.fail("task", "is 'language', but generated samples have no next token; \"grammar\" has");
  if (manifest.files.size() != row->files)
    fields.fail("files", fmt::format("names {} files; a model in format {} has {}", manifest.files.size(),
                                     manifest.format, row->files));
  return manifest;
}

std::string model_digest(const ModelManifest& manifest) {
  Json what = {{"format", manifest.format}, {"task", name_of(manifest.task)}, {"files", digests(manifest.files)}};
  if (manifest.rounding != ModelManifest().rounding) what["rounding"] = manifest.rounding;
  if (manifest.files.empty()) what["options"] = manifest.options;
  return digest_of(what);
}

std::string data_digest(const ModelManifest& manifest) {
  const DatasetManifest& data = manifest.dataset;
  Json what = {{"kind", data.kind}, {"split", data.split}, {"options", data.options}, {"files", digests(data.files)}};
  if (data.kind == "generated") what["model"] = model_digest(manifest);  // which gives the shape and the answers
  return digest_of(what);
}

}  // namespace qb
