#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/data/generated/generated.h"
#include "models/data/generated/glyph_shapes.h"

namespace qb {
namespace {

double number_within(Fields& fields, std::string_view key, double low, double high, double otherwise) {
  const double value = fields.number_or(key, otherwise);
  if (!(value >= low && value <= high))
    fields.fail(key, fmt::format("is {}, not a number from {} to {}", value, low, high));
  return value;
}

}  // namespace

GlyphsOptions glyphs_options(const Json& options, const std::string& where, Blame blame) {
  Fields fields(options, where, blame);
  GlyphsOptions result;
  result.version = fields.integer_or("version", 1, 1, result.version);
  result.classes = fields.integer_or("classes", 2, kGlyphCount, result.classes);
  result.size = fields.integer_or("size", 12, 40, result.size);
  result.affine = number_within(fields, "affine", 0, 0.5, result.affine);
  result.shift = number_within(fields, "shift", 0, 4, result.shift);
  result.warp = number_within(fields, "warp", 0, 3, result.warp);
  result.contrast = number_within(fields, "contrast", 0.05, 1, result.contrast);
  result.noise = number_within(fields, "noise", 0, 100, result.noise);
  result.occlusion = number_within(fields, "occlusion", 0, 1, result.occlusion);
  fields.done();
  return result;
}

GrammarOptions grammar_options(const Json& options, const std::string& where, Blame blame) {
  Fields fields(options, where, blame);
  GrammarOptions result;
  result.version = fields.integer_or("version", 1, 1, result.version);
  result.vocabulary = fields.integer_or("vocabulary", 2, 64, result.vocabulary);
  result.order = fields.integer_or("order", 1, 3, result.order);
  result.window = fields.integer_or("window", result.order, 16, std::max(result.order, result.window));
  result.branches = fields.integer_or("branches", 1, result.vocabulary, std::min(result.vocabulary, result.branches));
  result.language = fields.integer_or("language", 0, (std::int64_t(1) << 31) - 1, result.language);
  fields.done();
  std::int64_t contexts = 1;
  for (std::int64_t i = 0; i < result.order; ++i) contexts *= result.vocabulary;
  if (contexts > 4096)
    fields.fail("order",
                fmt::format("makes {} contexts of {} tokens; at most 4096 are accepted", contexts, result.vocabulary));
  return result;
}

PicturesOptions pictures_options(const Json& options, const std::string& where, Blame blame) {
  Fields fields(options, where, blame);
  PicturesOptions result;
  result.version = fields.integer_or("version", 1, 1, result.version);
  result.ids = fields.integer_or("ids", 0, std::int64_t(1) << 24, result.ids);
  if (result.ids > 0) return fields.done(), result;
  result.blobs = fields.integer_or("blobs", 0, 64, result.blobs);
  result.contrast = number_within(fields, "contrast", 0, 1000, result.contrast);
  result.noise = number_within(fields, "noise", 0, 100, result.noise);
  fields.done();
  if ((result.blobs == 0 || result.contrast == 0) && result.noise == 0)
    fields.fail("noise", "is 0, and so are the blobs; every sample would be the same");
  return result;
}

std::string to_text(const GlyphsOptions& options) {
  return canonical_text(Json{{"version", options.version},
                             {"classes", options.classes},
                             {"size", options.size},
                             {"affine", options.affine},
                             {"shift", options.shift},
                             {"warp", options.warp},
                             {"contrast", options.contrast},
                             {"noise", options.noise},
                             {"occlusion", options.occlusion}});
}

std::string to_text(const GrammarOptions& options) {
  return canonical_text(Json{{"version", options.version},
                             {"vocabulary", options.vocabulary},
                             {"order", options.order},
                             {"window", options.window},
                             {"branches", options.branches},
                             {"language", options.language}});
}

std::string to_text(const PicturesOptions& options) {
  if (options.ids > 0) return canonical_text(Json{{"version", options.version}, {"ids", options.ids}});
  return canonical_text(Json{{"version", options.version},
                             {"blobs", options.blobs},
                             {"contrast", options.contrast},
                             {"noise", options.noise}});
}

}  // namespace qb
