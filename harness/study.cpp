#include "harness/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"
#include "kernels/registry.h"
#include "quantizers/quant_spec.h"

namespace qb {

namespace {

constexpr std::int64_t kMaxThreads = 4096;
constexpr std::int64_t kMaxBatch = 1 << 20;
constexpr std::uint64_t kMaxStudyBytes = 16 << 20;

std::string place(const Fields& fields, std::string_view key, std::size_t index) {
  return fmt::format("{}: key '{}', element {}", fields.where(), key, index + 1);
}

/// Runs `body` and puts `where` before what it complains about.
template <class Body>
auto located(const std::string& where, Body body) {
  try {
    return body();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", where, error.what()));
  }
}

template <class T>
void refuse_duplicates(const Fields& fields, std::string_view key, const std::vector<T>& values) {
  if (values.empty()) fields.fail(key, "is an empty list; at least one value is needed");
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::find(values.begin(), values.begin() + std::ptrdiff_t(i), values[i]) != values.begin() + std::ptrdiff_t(i))
      fields.fail(key, fmt::format("names '{}' twice", values[i]));
}

bool plain_name(std::string_view name) {
  const auto accepted = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '.' && std::all_of(name.begin(), name.end(), accepted);
}

std::string plain_name_of(Fields& fields, std::string_view key) {
  std::string name = fields.text(key);
  if (!plain_name(name))
    fields.fail(key,
                fmt::format("is '{}'; accepted are 1 to 64 letters, digits, '-', '_' and '.', not '.' first", name));
  return name;
}

std::vector<std::string> names_of(const auto& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  return names;
}

std::vector<ModelManifest> read_models(Fields& fields, const DataRoots& roots) {
  std::vector<ModelManifest> models;
  const Json& entries = fields.array("models");
  for (std::size_t i = 0; i < entries.size(); ++i)
    models.push_back(read_model_entry(entries[i], place(fields, "models", i), roots));
  refuse_duplicates(fields, "models", names_of(models));
  return models;
}

std::vector<std::string> read_quantizers(Fields& fields) {
  std::vector<std::string> specs = fields.texts("quantizers");
  for (std::size_t i = 0; i < specs.size(); ++i)
    specs[i] = located(place(fields, "quantizers", i), [&] { return to_text(parse_quant_spec(specs[i])); });
  refuse_duplicates(fields, "quantizers", specs);
  return specs;
}

std::vector<HardwareEntry> read_hardware(Fields& fields) {
  if (!fields.has("hardware")) {
    fields.find("hardware");
    HardwareEntry whole_machine;
    whole_machine.name = "best";
    return {whole_machine};
  }
  std::vector<HardwareEntry> hardware;
  const Json& entries = fields.array("hardware");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string where = place(fields, "hardware", i);
    Fields entry(entries[i], where, Blame::user);
    HardwareEntry one;
    one.name = plain_name_of(entry, "name");
    one.isa = entry.text_or("isa", "best");
    one.match = entry.text_or("match", "");
    entry.done();
    located(where, [&] { return isa_cap(one.isa); });
    hardware.push_back(std::move(one));
  }
  refuse_duplicates(fields, "hardware", names_of(hardware));
  return hardware;
}

std::vector<std::string> read_kernels(Fields& fields) {
  if (!fields.find("kernels")) return {"best"};
  std::vector<std::string> choices = fields.texts("kernels");
  for (std::size_t i = 0; i < choices.size(); ++i)
    located(place(fields, "kernels", i), [&] { check_kernel_choice(choices[i]); });
  refuse_duplicates(fields, "kernels", choices);
  return choices;
}

std::vector<std::int64_t> read_counts(Fields& fields, std::string_view key, std::int64_t high) {
  if (!fields.find(key)) return {1};
  std::vector<std::int64_t> counts = fields.integers(key);
  for (const std::int64_t count : counts)
    if (count < 1 || count > high) fields.fail(key, fmt::format("holds {}; accepted is 1 to {}", count, high));
  refuse_duplicates(fields, key, counts);
  return counts;
}

double number_within(Fields& fields, std::string_view key, double low, double high, double otherwise) {
  const double value = fields.number_or(key, otherwise);
  if (!(value >= low && value <= high)) fields.fail(key, fmt::format("is {}; accepted is {} to {}", value, low, high));
  return value;
}

void read_measure(Fields& study, MeasureOptions& options) {
  constexpr std::int64_t kMaxItems = 100'000;  // what one result message can carry; see workers/records/unit.cpp
  constexpr std::int64_t kMaxBlocks = 10'000;
  if (const Json* object = study.find("accuracy")) {
    Fields fields(*object, study.where() + ": key 'accuracy'", Blame::user);
    options.accuracy_samples = fields.integer_or("samples", 0, kMaxItems, options.accuracy_samples);
    options.calibration_samples = fields.integer_or("calibration", 0, kMaxItems, options.calibration_samples);
    fields.done();
  }
  if (const Json* object = study.find("measure")) {
    Fields fields(*object, study.where() + ": key 'measure'", Blame::user);
    options.min_samples = fields.integer_or("min_samples", 3, kMaxBlocks, options.min_samples);
    options.max_samples =
        fields.integer_or("max_samples", 3, kMaxBlocks, std::max(options.min_samples, options.max_samples));
    options.relative_width = number_within(fields, "relative_width", 1e-6, 1.0, options.relative_width);
    options.time_limit_s = number_within(fields, "time_limit_s", 1e-3, 3600.0, options.time_limit_s);
    options.cold = fields.flag_or("cold", options.cold);
    fields.done();
    if (options.max_samples < options.min_samples)
      fields.fail("max_samples",
                  fmt::format("is {}, less than min_samples, which is {}", options.max_samples, options.min_samples));
  }
}

UnitLimits read_limits(Fields& study) {
  UnitLimits limits;
  if (const Json* object = study.find("limits")) {
    Fields fields(*object, study.where() + ": key 'limits'", Blame::user);
    limits.seconds = number_within(fields, "seconds", 0.1, 7 * 86400.0, limits.seconds);
    limits.memory_bytes = fields.integer_or("memory_bytes", 0, std::int64_t(1) << 50, limits.memory_bytes);
    fields.done();
  }
  return limits;
}

/// The values of one key of an exclusion, one or a list; each must stand on its axis.
std::vector<std::string> excluded_names(Fields& rule, std::string_view key, const std::vector<std::string>& axis,
                                        const std::function<std::string(const std::string&)>& canonical = {}) {
  const Json* value = rule.find(key);
  if (!value) return {};
  std::vector<std::string> names = value->is_array() ? rule.texts(key) : std::vector{rule.text(key)};
  for (std::string& name : names) {
    if (canonical) name = located(fmt::format("{}: key '{}'", rule.where(), key), [&] { return canonical(name); });
    if (std::find(axis.begin(), axis.end(), name) == axis.end())
      rule.fail(key, fmt::format("names '{}', which is not on the study's axis{}", name, suggestion(name, axis)));
  }
  if (names.empty()) rule.fail(key, "is an empty list");
  return names;
}

std::vector<std::int64_t> excluded_counts(Fields& rule, std::string_view key, const std::vector<std::int64_t>& axis) {
  const Json* value = rule.find(key);
  if (!value) return {};
  const std::vector<std::int64_t> counts =
      value->is_array() ? rule.integers(key)
                        : std::vector{rule.integer(key, 1, std::numeric_limits<std::int64_t>::max())};
  for (const std::int64_t count : counts)
    if (std::find(axis.begin(), axis.end(), count) == axis.end())
      rule.fail(key,
                fmt::format("names {}, which is not on the study's axis; known are {}", count, fmt::join(axis, ", ")));
  if (counts.empty()) rule.fail(key, "is an empty list");
  return counts;
}

std::vector<Exclusion> read_exclusions(Fields& fields, const Study& study) {
  std::vector<Exclusion> rules;
  if (!fields.find("exclude")) return rules;
  const Json& entries = fields.array("exclude");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Fields rule(entries[i], place(fields, "exclude", i), Blame::user);
    Exclusion one;
    one.models = excluded_names(rule, "model", names_of(study.models));
    one.quantizers = excluded_names(rule, "quantizer", study.quantizers,
                                    [](const std::string& spec) { return to_text(parse_quant_spec(spec)); });
    one.hardware = excluded_names(rule, "hardware", names_of(study.hardware));
    one.kernels = excluded_names(rule, "kernel", study.kernels);
    one.batch = excluded_counts(rule, "batch", study.batch);
    one.threads = excluded_counts(rule, "threads", study.threads);
    one.reason = rule.text_or("reason", fmt::format("excluded by the study: {}", canonical_text(entries[i])));
    rule.done();
    if (one.models.empty() && one.quantizers.empty() && one.hardware.empty() && one.kernels.empty() &&
        one.batch.empty() && one.threads.empty())
      throw InputError(rule.where() +
                       ": names nothing to exclude; give at least one of model, quantizer, hardware, kernel, "
                       "batch and threads");
    rules.push_back(std::move(one));
  }
  return rules;
}

}  // namespace

Study parse_study(std::string_view text, const std::string& path, const DataRoots& roots) {
  const Json json = parse_json(text, path, Blame::user, {.comments = true});
  Fields fields(json, path, Blame::user);
  // All names of keys are asked for before any value is refused, so that a slip in a key is what the user hears of
  // first.
  // "$schema" is for editors.
  for (const char* key : {"$schema", "name", "models", "quantizers", "hardware", "kernels", "threads", "batch",
                          "accuracy", "measure", "limits", "exclude", "seed", "workers"})
    fields.find(key);
  fields.done();

  Study study;
  study.path = path;
  study.text = text;
  study.name = plain_name_of(fields, "name");
  study.quantizers = read_quantizers(fields);
  study.hardware = read_hardware(fields);
  study.kernels = read_kernels(fields);
  study.threads = read_counts(fields, "threads", kMaxThreads);
  study.batch = read_counts(fields, "batch", kMaxBatch);
  read_measure(fields, study.measure);
  study.limits = read_limits(fields);
  study.seed = std::uint64_t(fields.integer_or("seed", 0, std::numeric_limits<std::int64_t>::max(), 1));
  study.workers = int(fields.integer_or("workers", 1, 1024, 2));
  study.models = read_models(fields, roots);
  study.exclude = read_exclusions(fields, study);
  return study;
}

Study read_study(const std::filesystem::path& path, const DataRoots& roots) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    throw InputError(
        fmt::format("study '{}' does not exist; name a JSON file such as configs/quickstart.json", path.string()));
  try {
    return parse_study(read_file(path, kMaxStudyBytes), path.string(), roots);
  } catch (const DataError& failure) {
    if (!std::filesystem::is_regular_file(path, error)) throw InputError(failure.what());
    throw;
  }
}

}  // namespace qb
