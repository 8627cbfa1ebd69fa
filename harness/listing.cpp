#include "harness/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/registry.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"

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

Json option_rows(std::span<const QuantizerOption> options) {
  Json rows = Json::array();
  for (const QuantizerOption& option : options)
    rows.push_back({{"option", option.key},
                    {"default", option.otherwise},
                    {"accepted", option.accepted},
                    {"meaning", option.meaning},
                    {"needs", option.needs}});
  return rows;
}

std::string bits_text(const QuantizerInfo& method) {
  if (method.min_bits == method.max_bits)
    return fmt::format("{} bit{}", method.min_bits, method.min_bits == 1 ? "" : "s");
  return fmt::format("{} to {} bits", method.min_bits, method.max_bits);
}

Json quantizer_rows() {
  Json rows = Json::array();
  for (const QuantizerInfo& info : quantizers())
    rows.push_back({{"quantizer", info.name},
                    {"spec", spec_form(info)},
                    {"bits", bits_text(info)},
                    {"groups", info.groups},
                    {"activations", info.activations},
                    {"calibration", info.calibration},
                    {"step", info.preparation},
                    {"summary", info.summary},
                    {"formats", info.formats},
                    {"paper", info.paper},
                    {"options", option_rows(all_options(info))}});
  return rows;
}

Json step_rows() {
  Json rows = Json::array();
  for (const Preparation& step : preparations())
    rows.push_back({{"step", step.name},
                    {"calibration", step.calibration},
                    {"summary", step.summary},
                    {"paper", step.paper},
                    {"options", option_rows(step.options)}});
  return rows;
}

Json kernel_rows() {
  Json rows = Json::array();
  for (const KernelInfo& kernel : kernels())
    rows.push_back({{"kernel", kernel.name},
                    {"family", kernel.family},
                    {"computes", name_of(kernel.operation)},
                    {"activations", name_of(kernel.activations)},
                    {"needs", to_text(kernel.needs)},
                    {"here", includes(host_isa(), kernel.needs) ? "yes" : "no"},
                    {"kind", kernel.reference ? "reference"
                             : kernel.peer    ? "peer"
                                              : "optimized"}});
  return rows;
}

Json hardware_rows() {
  Json rows = Json::array();
  for (const std::string& cap : isa_cap_names())
    rows.push_back({{"isa", cap},
                    {"allows", to_text(isa_cap(cap) & detected_isa())},
                    {"here", cap == "best" || includes(detected_isa(), isa_cap(cap)) ? "in full"
                             : (isa_cap(cap) & detected_isa()) == isa_cap("scalar")  ? "no"
                                                                                     : "in part"}});
  return rows;
}

Json dataset_rows(const DataRoots& roots) {
  struct Kind {
    const char *kind, *files, *meaning;
  };
  constexpr std::array<Kind, 8> kKinds = {{
      {"idx", "a folder with images and labels", "the MNIST format, plain or gzip"},
      {"csv", "one file", "numbers; the last column is the class"},
      {"bytes", "records and a label list", "int8 records of one size"},
      {"npy", "inputs and labels", "NumPy arrays"},
      {"cifar", "1 to 6 batches", "the binary CIFAR-10 format"},
      {"glyphs", "none: generated", "drawn characters, distorted and noisy"},
      {"generated", "none: generated", "pictures or ids for any model, answers of the float model"},
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

/// The columns of the lists that are shown as tables; JSON objects sort their keys. The last one is wrapped.
struct TableColumns {
  std::string_view what;
  std::vector<std::string> names;
};
const std::vector<TableColumns>& table_columns() {
  static const std::vector<TableColumns> all = {
      {"models", {"model", "task", "dataset", "format", "bytes", "digest"}},
      {"kernels", {"kernel", "kind", "activations", "here", "needs"}},
      {"hardware", {"isa", "here", "allows"}},
      {"datasets", {"dataset", "files", "zoo models", "meaning"}},
  };
  return all;
}

std::string cell_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

/// Lines of at most `width` columns, broken at blanks and, in a word longer than a line, after a | or else anywhere.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines(1);
  for (std::string_view word : split(text, ' ')) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    while (word.size() > width) {
      const std::size_t bar = word.rfind('|', width - 1);
      const std::size_t cut = bar == std::string_view::npos ? width : bar + 1;
      lines.back() += word.substr(0, cut);
      lines.emplace_back();
      word.remove_prefix(cut);
    }
    lines.back() += word;
  }
  return lines;
}

/// Aligned columns under a line of headings, every line after `indent` blanks. The last column takes what is left, the
/// choices of an option at most a third; both are wrapped.
std::string table_of(const Json& rows, const std::vector<std::string>& names, std::size_t indent, std::size_t width) {
  constexpr std::size_t kNarrowest = 12;
  std::vector<std::size_t> widths;
  std::size_t before_last = indent;
  for (const std::string& name : names) {
    std::size_t widest = name.size();
    for (const Json& row : rows) widest = std::max(widest, cell_text(row[name]).size());
    widths.push_back(name == "accepted" ? std::min(widest, width / 3) : widest);
    if (widths.size() < names.size()) before_last += widths.back() + 2;
  }
  widths.back() = std::max(kNarrowest, width - std::min(width, before_last));
  std::string text;
  const auto row_of = [&](const auto& cell) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      cells.push_back(wrapped(cell(names[i]), widths[i]));
      height = std::max(height, cells.back().size());
    }
    for (std::size_t at = 0; at < height; ++at) {
      std::string line(indent, ' ');
      for (std::size_t i = 0; i < names.size(); ++i)
        line += fmt::format("{:<{}}  ", at < cells[i].size() ? cells[i][at] : "", widths[i]);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
  };
  row_of([](const std::string& name) { return name; });
  for (const Json& row : rows) row_of([&](const std::string& name) { return cell_text(row[name]); });
  return text;
}

std::string options_text(const Json& options, std::size_t width) {
  Json rows = options;
  for (Json& row : rows) {
    std::string meaning = row["meaning"];
    if (const std::string needs = row["needs"]; !needs.empty() && needs != "a<bits>")
      meaning += fmt::format(" (with {})", needs);
    row["meaning"] = meaning;
    if (row["default"] == "") row["default"] = "none";
  }
  return table_of(rows, {"option", "default", "accepted", "meaning"}, 4, width);
}

/// What a study writes to ask for the method.
std::string spec_text(const QuantizerInfo& method) {
  if (!method.quantizes()) return std::string(method.name);
  return fmt::format("{}[@option=value...], {}", spec_form(method), bits_text(method));
}

/// "  name     value", wrapped; nothing for an empty value.
std::string fact(std::string_view name, std::string_view value, std::size_t width) {
  std::string text;
  if (value.empty()) return text;
  std::string head = fmt::format("  {:<9}", name);
  for (const std::string& line : wrapped(std::string(value), width - head.size())) {
    text += head + line + "\n";
    head.assign(head.size(), ' ');
  }
  return text;
}

std::string steps_text(std::size_t width) {
  std::string text;
  for (const Preparation& step : preparations()) {
    text += fmt::format("{}: {}\n", step.name, step.summary);
    text += fact("spec", fmt::format("{}+rtn:w8[@option=value...], and before other methods", step.name), width);
    text += fact("needs", step.calibration ? "calibration samples" : "", width);
    text += fact("paper", step.paper, width);
    if (!step.options.empty()) text += options_text(option_rows(step.options), width);
    text += "\n";
  }
  return text;
}

std::string needs_text(const QuantizerInfo& method) {
  if (method.calibration) return "calibration samples: the second moments of each layer's inputs (its Hessian)";
  if (!method.activations) return "";
  for (const QuantizerOption& option : method.options)
    if (!option.learns.empty())
      return fmt::format("calibration samples for {}={} and for fixed activation ranges", option.key, option.learns);
  return "calibration samples for fixed activation ranges only";
}

std::string quantizers_text(std::size_t width) {
  std::string text;
  for (const QuantizerInfo& method : quantizers()) {
    text += fmt::format("{}: {}\n", method.name, method.summary);
    text += fact("spec", spec_text(method), width);
    text += fact("formats", method.formats, width);
    text += fact("needs", needs_text(method), width);
    text += fact("paper", method.paper, width);
    std::vector<QuantizerOption> own(method.options.begin(), method.options.end());
    if (const Preparation* step = find_preparation(method.preparation))
      own.insert(own.end(), step->options.begin(), step->options.end());
    if (!own.empty()) text += options_text(option_rows(own), width);
    text += "\n";
  }
  text += "every method that quantizes\n" + options_text(option_rows(common_options()), width);
  text += "\nactivations, a<bits>\n" + options_text(option_rows(activation_options()), width);
  return text + "\nsteps before quantizing, as in smoothquant+rtn:w8a8\n\n" + steps_text(width);
}

}  // namespace

Json listing(std::string_view what, const DataRoots& roots) {
  if (what == "models") return model_rows(roots);
  if (what == "quantizers") return quantizer_rows();
  if (what == "steps") return step_rows();
  if (what == "kernels") return kernel_rows();
  if (what == "hardware") return hardware_rows();
  if (what == "datasets") return dataset_rows(roots);
  throw InputError(fmt::format("list: there is no list of '{}'{}", what,
                               suggestion(what, {"models", "quantizers", "steps", "kernels", "hardware", "datasets"})));
}

std::string listing_text(std::string_view what, const Json& rows, int width) {
  constexpr int kNarrowest = 100;
  const auto columns = std::size_t(std::max(width, kNarrowest));
  if (what == "quantizers") return quantizers_text(columns);
  if (what == "steps") return steps_text(columns);
  for (const TableColumns& table : table_columns())
    if (table.what == what) return rows.empty() ? "none\n" : table_of(rows, table.names, 0, columns);
  return {};
}

}  // namespace qb
