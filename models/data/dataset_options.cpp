#include "models/data/dataset_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace qb {

namespace {

/// A number, or a list of one number per index of the second extent.
std::vector<double> numbers(Fields& fields, std::string_view key, std::vector<double> otherwise) {
  const Json* value = fields.find(key);
  if (!value) return otherwise;
  if (value->is_number()) return {fields.number(key)};
  std::vector<double> list = fields.numbers(key);
  constexpr std::size_t kMost = 1 << 16;
  if (list.empty() || list.size() > kMost || std::ranges::any_of(list, [](double v) { return !(v == v); }))
    fields.fail(key, fmt::format("must be a number or a list of 1 to {} numbers", kMost));
  return list;
}

/// What turns a value of a file or a generator into an input.
void read_scaling(Fields& fields, SampleOptions& options) {
  options.scale = fields.number_or("scale", 1);
  if (options.scale == 0) fields.fail("scale", "is 0; every sample would be the same");
  options.mean = numbers(fields, "mean", {0});
  options.deviation = numbers(fields, "deviation", {1});
  if (std::ranges::count(options.deviation, 0.0) > 0)
    fields.fail("deviation", "holds 0, by which nothing can be divided");
}

}  // namespace

SampleOptions read_sample_options(Fields& fields, const std::string& kind) {
  SampleOptions options;
  read_scaling(fields, options);
  if (kind == "bytes") options.zero = double(fields.integer_or("zero", -128, 127, 0));
  if (kind == "bytes" || fields.find("shape")) options.shape = fields.integers("shape");
  constexpr std::size_t kMostRank = 4;
  if (options.shape.size() > kMostRank ||
      std::ranges::any_of(options.shape, [](std::int64_t extent) { return extent < 1 || extent > (1 << 24); }))
    fields.fail("shape", "must list 1 to 4 extents of one sample, each at least 1");
  constexpr std::int64_t kMostClasses = 1 << 20, kMostSamples = std::int64_t(1) << 31;
  options.classes = fields.integer_or("classes", 0, kMostClasses, 0);
  options.calibration = fields.integer_or("calibration", 0, kMostSamples, 0);
  return options;
}

std::string to_text(const SampleOptions& options) {
  return canonical_text({{"scale", options.scale},
                         {"zero", std::int64_t(options.zero)},
                         {"mean", options.mean},
                         {"deviation", options.deviation},
                         {"shape", options.shape},
                         {"classes", options.classes},
                         {"calibration", options.calibration}});
}

GeneratedOptions generated_options(const Json& options, const std::string& where, Blame blame) {
  Fields fields(options, where, blame);
  GeneratedOptions read;
  read.pictures = pictures_options(fields.at("generated"), fmt::format("{}: generated", where), blame);
  read_scaling(fields, read.samples);
  fields.done();
  return read;
}

std::string checked_options(const std::string& kind, const Json& options, const std::string& where, Blame blame) {
  if (kind == "glyphs") return to_text(glyphs_options(options, where, blame));
  if (kind == "grammar") return to_text(grammar_options(options, where, blame));
  if (kind == "generated") {
    const GeneratedOptions read = generated_options(options, where, blame);
    return canonical_text({{"generated", parse_json(to_text(read.pictures), where, blame)},
                           {"scale", read.samples.scale},
                           {"mean", read.samples.mean},
                           {"deviation", read.samples.deviation}});
  }
  Fields fields(options, where, blame);
  const SampleOptions read = read_sample_options(fields, kind);
  if (kind != "bytes") fields.integer_or("zero", 0, 0, 0);
  fields.done();
  return to_text(read);
}

SampleOptions sample_options(const std::string& kind, const std::string& text) {
  const std::string where = "dataset options";
  const Json json = parse_json(text, where, Blame::peer);
  Fields fields(json, where, Blame::peer);
  return read_sample_options(fields, kind);
}

}  // namespace qb
