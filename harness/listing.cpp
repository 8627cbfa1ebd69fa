#include "harness/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/registry.h"
#include "quantizers/options.h"

namespace qb {

namespace {

Json model_rows(const DataRoots& roots) {
  Json rows = Json::array();
  for (const std::string& name : zoo_model_names(roots)) {
    const ModelManifest manifest = read_model_entry(Json(name), fmt::format("model '{}'", name), roots);
    std::uint64_t bytes = 0;
    for (const FileRef& file : manifest.files) bytes += file.bytes;
    rows.push_back({{"model", name},
                    {"task", name_of(manifest.task)},
                    {"format", manifest.format},
                    {"bytes", bytes},
                    {"dataset", manifest.dataset.name},
                    {"digest", model_digest(manifest).substr(0, 16)}});
  }
  return rows;
}

Json quantizer_rows() {
  Json rows = Json::array();
  for (const QuantizerInfo& info : quantizers()) {
    std::string options;
    for (const QuantizerOption& option : all_options(info))
      options += fmt::format("{}{}={} ({})", options.empty() ? "" : ", ", option.key, option.accepted, option.otherwise);
    rows.push_back({{"quantizer", info.name},
                    {"bits", info.quantize ? fmt::format("w{}..w{}", info.min_bits, info.max_bits) : "32"},
                    {"groups", info.groups ? "yes" : "no"},
                    {"activations", info.activations ? "yes" : "no"},
                    {"summary", info.summary},
                    {"formats", info.formats},
                    {"paper", info.paper},
                    {"options", options}});
  }
  return rows;
}

Json kernel_rows() {
  Json rows = Json::array();
  for (const KernelInfo& kernel : kernels())
    rows.push_back({{"kernel", kernel.name},
                    {"family", kernel.family},
                    {"activations", name_of(kernel.activations)},
                    {"needs", to_text(kernel.needs)},
                    {"here", includes(host_isa(), kernel.needs) ? "yes" : "no"},
                    {"kind", kernel.reference ? "reference" : kernel.peer ? "peer" : "optimized"}});
  return rows;
}

Json hardware_rows() {
  Json rows = Json::array();
  for (const std::string& cap : isa_cap_names())
    rows.push_back({{"isa", cap},
                    {"allows", to_text(isa_cap(cap) & detected_isa())},
                    {"here", cap == "best" || includes(detected_isa(), isa_cap(cap)) ? "in full" : "in part"}});
  return rows;
}

Json dataset_rows(const DataRoots& roots) {
  struct Kind {
    const char *kind, *files, *meaning;
  };
  constexpr std::array<Kind, 7> kKinds = {{
      {"idx", "a folder with images and labels", "the MNIST format, plain or gzip"},
      {"csv", "one file", "numbers; the last column is the class"},
      {"bytes", "records and a label list", "int8 records of one size"},
      {"npy", "inputs and labels", "NumPy arrays"},
      {"cifar", "1 to 6 batches", "the binary CIFAR-10 format"},
      {"glyphs", "none: generated", "drawn characters, distorted and noisy"},
      {"grammar", "none: generated", "tokens of a probabilistic grammar with known entropy rate"},
  }};
  std::map<std::string, std::string> users;
  for (const std::string& name : zoo_model_names(roots)) {
    const ModelManifest manifest = read_model_entry(Json(name), fmt::format("model '{}'", name), roots);
    std::string& models = users[manifest.dataset.kind];
    models += (models.empty() ? "" : ", ") + name;
  }
  Json rows = Json::array();
  for (const auto& [kind, files, meaning] : kKinds)
    rows.push_back({{"dataset", kind}, {"files", files}, {"meaning", meaning}, {"zoo models", users[kind]}});
  return rows;
}

/// The order in which columns are shown; JSON objects sort their keys. A list begins with its own name.
constexpr std::array kColumns = {"model",  "quantizer", "kernel", "isa",         "dataset", "task", "format", "family",
                                 "allows", "files",     "bits",   "groups",      "activations", "needs", "here", "kind",
                                 "bytes",  "digest",    "meaning", "zoo models", "summary", "paper", "options"};

std::string cell_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

}  // namespace

Json listing(std::string_view what, const DataRoots& roots) {
  if (what == "models") return model_rows(roots);
  if (what == "quantizers") return quantizer_rows();
  if (what == "kernels") return kernel_rows();
  if (what == "hardware") return hardware_rows();
  if (what == "datasets") return dataset_rows(roots);
  throw InputError(fmt::format("list: there is no list of '{}'{}", what,
                               suggestion(what, {"models", "quantizers", "kernels", "hardware", "datasets"})));
}

std::string listing_text(const Json& rows) {
  if (rows.empty()) return "none\n";
  std::vector<std::pair<std::string, std::size_t>> columns;
  for (const char* name : kColumns)
    if (rows[0].contains(name)) columns.emplace_back(name, std::string_view(name).size());
  for (const Json& row : rows)
    for (auto& [name, width] : columns) width = std::max(width, cell_text(row[name]).size());
  std::string text;
  const auto line = [&](const auto& cell_of) {
    std::string one;
    for (const auto& [name, width] : columns) one += fmt::format("{:<{}}  ", cell_of(name), width);
    one.erase(one.find_last_not_of(' ') + 1);
    text += one + "\n";
  };
  line([](const std::string& name) { return name; });
  for (const Json& row : rows) line([&](const std::string& name) { return cell_text(row[name]); });
  return text;
}

}  // namespace qb
