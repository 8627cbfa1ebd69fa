// configs/study.schema.json against the parser: the same keys at every level, and the same bounds.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/study.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "models/integer_result.h"

namespace qb {
namespace {

DataRoots roots() { return {{std::filesystem::path(QB_SOURCE_ROOT) / "configs"}}; }

Json schema() { return Json::parse(read_file(std::filesystem::path(QB_SOURCE_ROOT) / "configs/study.schema.json")); }

/// One object of a study: where the schema describes it, and a study in which '@' stands among its members.
struct Level {
  std::string pointer, study;
};

std::string whole(std::string_view members) {
  return fmt::format(R"({{"name": "s", "models": ["glyphs-mlp"], "quantizers": ["float"], {}}})", members);
}

std::string with_model(std::string_view entry) {
  return fmt::format(R"({{"name": "s", "models": [{}], "quantizers": ["float"]}})", entry);
}

std::string with_dataset(std::string_view dataset) {
  return with_model(fmt::format(
      R"({{"safetensors": "zoo/glyphs-mlp/weights.safetensors", "graph": "zoo/glyphs-mlp/model.json", "dataset": {}}})",
      dataset));
}

std::vector<Level> levels() {
  return {
      {"", whole("@")},
      {"/$defs/accuracy", whole(R"("accuracy": {@})")},
      {"/$defs/measure", whole(R"("measure": {@})")},
      {"/$defs/limits", whole(R"("limits": {@})")},
      {"/$defs/hardware", whole(R"("hardware": [{"name": "h", @}])")},
      {"/$defs/exclusion", whole(R"("exclude": [{@}])")},
      {"/$defs/onnx_model", with_model(R"({"onnx": "x.onnx", "dataset": {"glyphs": {}}, @})")},
      {"/$defs/safetensors_model", with_model(R"({"safetensors": "x", "graph": "y", "dataset": {"glyphs": {}}, @})")},
      {"/$defs/llama_model", with_model(R"({"llama": {"layers": 1}, "dataset": {"idx": "x"}, @})")},
      {"/$defs/llama_model/properties/llama", with_model(R"({"llama": {@}, "dataset": {"idx": "x"}})")},
      {"/$defs/idx", with_dataset(R"({"idx": "x", @})")},
      {"/$defs/csv", with_dataset(R"({"csv": "x", @})")},
      {"/$defs/cifar", with_dataset(R"({"cifar": "x", @})")},
      {"/$defs/npy", with_dataset(R"({"npy": "x", "labels": "y", @})")},
      {"/$defs/bytes", with_dataset(R"({"bytes": "x", "labels": "y", "shape": [1], @})")},
      {"/$defs/glyphs", with_dataset(R"({"glyphs": {}, @})")},
      {"/$defs/grammar", with_dataset(R"({"grammar": {}, @})")},
      {"/$defs/generated", with_dataset(R"({"generated": {}, @})")},
      {"/$defs/glyphs/properties/glyphs", with_dataset(R"({"glyphs": {@}})")},
      {"/$defs/grammar/properties/grammar", with_dataset(R"({"grammar": {@}})")},
      {"/$defs/generated/properties/generated", with_dataset(R"({"generated": {@}})")},
  };
}

std::string said_of(const Level& level, std::string_view member) {
  std::string text = level.study;
  text.replace(text.find('@'), 1, member);
  try {
    parse_study(text, "s.json", roots());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

/// The keys that the parser lists when it meets one that resembles none.
std::set<std::string> keys_of_parser(const Level& level) {
  const std::string said = said_of(level, R"("%%%%%%%%%%%%%%%%%%%%": 1)");
  const std::size_t at = said.find("known are ");
  REQUIRE_MESSAGE(at != std::string::npos, said);
  std::set<std::string> keys;
  std::string list = said.substr(at + 10);
  if (const std::size_t last = list.rfind(" and "); last != std::string::npos) list.replace(last, 5, ", ");
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(", ", begin), list.size());
    keys.insert(list.substr(begin, end - begin));
    begin = end + 2;
  }
  return keys;
}

/// What a property says, wherever its definition stands.
Json resolved(const Json& all, const Json& property) {
  if (!property.contains("$ref")) return property;
  return all.at(Json::json_pointer(property["$ref"].get<std::string>().substr(1)));
}

TEST_CASE("the schema has exactly the keys that the parser knows") {
  const Json all = schema();
  for (const Level& level : levels()) {
    INFO("schema" << level.pointer);
    const Json& object = all.at(Json::json_pointer(level.pointer));
    CHECK(object.at("additionalProperties") == false);
    std::set<std::string> keys;
    for (const auto& [key, value] : object.at("properties").items()) keys.insert(key);
    CHECK(keys == keys_of_parser(level));
  }
}

TEST_CASE("the schema has the parser's bounds") {
  const Json all = schema();
  int compared = 0;
  for (const Level& level : levels()) {
    for (const auto& [key, value] : all.at(Json::json_pointer(level.pointer)).at("properties").items()) {
      if (level.study.find(fmt::format("\"{}\":", key)) != std::string::npos) continue;  // it stands there already
      const Json property = resolved(all, value);
      const Json& bounds = property.contains("items") ? property["items"] : property;
      const auto member = [&](const Json& number) {
        return fmt::format(R"("{}": {})", key,
                           property.contains("items") ? fmt::format("[{}]", number.dump()) : number.dump());
      };
      const bool is_integer = bounds.value("type", "") == "integer";
      for (const std::string side : {"minimum", "maximum"}) {
        if (!bounds.contains(side) || bounds[side] == std::numeric_limits<std::int64_t>::max()) continue;
        const int step = side == "minimum" ? -1 : 1;
        const Json outside =
            is_integer ? Json(bounds[side].get<std::int64_t>() + step) : Json(bounds[side].get<double>() + step);
        INFO("schema" << level.pointer << ", " << member(outside));
        CHECK(said_of(level, member(outside)).find(fmt::format("key '{}'", key)) != std::string::npos);
        const std::string inside = said_of(level, member(bounds[side]));
        INFO("inside: " << inside);
        const bool refused = inside.find(fmt::format("key '{}'", key)) != std::string::npos;
        CHECK(
            (!refused || inside.find("min_samples") != std::string::npos || inside.find("same") != std::string::npos));
        ++compared;
      }
    }
  }
  CHECK(compared > 60);
}

TEST_CASE("the schema has the parser's choices") {
  const Json all = schema();
  CHECK(all["$defs"]["rounding"]["enum"] == code_rounding_names());
  CHECK(all["$defs"]["task"]["enum"] == std::vector{name_of(Task::classification), name_of(Task::language)});
  std::set<std::string> kinds;
  for (const Json& kind : all["$defs"]["dataset"]["oneOf"]) kinds.insert(kind["$ref"].get<std::string>().substr(8));
  const std::string said = said_of({"", with_dataset(R"({"idx": "x", "csv": "y", @})")}, R"("name": "n")");
  for (const std::string& kind : kinds) CHECK(said.find(kind) != std::string::npos);
  const std::string list = said.substr(said.find("exactly one of"));
  CHECK(std::ranges::count(list, ',') + 1 == std::int64_t(kinds.size()));
}

TEST_CASE("a study may name its schema") {
  CHECK(said_of({"", whole("@")}, R"("$schema": "study.schema.json")").empty());
}

}  // namespace
}  // namespace qb
