#include "kernels/base/json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/random.h"

using namespace qb;

namespace {

std::string refusal_of(std::string_view text) {
  try {
    parse_json(text, "study 'x'", Blame::user);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what is not JSON, or too much of it, is refused in one sentence that names the place") {
  CHECK(refusal_of("{\"a\": 1") != "accepted");
  CHECK(refusal_of("{\"a\": 1} x") != "accepted");
  CHECK(refusal_of("") != "accepted");
  CHECK(refusal_of("{\"a\": 1, \"a\": 2}") == "study 'x': key 'a' stands twice in one object");
  CHECK(refusal_of(std::string(17, '[') + std::string(17, ']')) ==
        "study 'x': nested deeper than the 16 levels allowed");
  CHECK(refusal_of(std::string(16, '[') + std::string(16, ']')) == "accepted");
  CHECK(refusal_of("\"" + std::string(9000, 'a') + "\"").find("longer than the 8192 allowed") != std::string::npos);
  CHECK(refusal_of("[1e999]") != "accepted");
  CHECK(refusal_of("\"\xff\"") == "study 'x': the text is not UTF-8");
  CHECK(refusal_of("[1] // note") != "accepted");
  CHECK_THROWS_AS(parse_json("{", "a peer", Blame::peer), DataError);
}

TEST_CASE("comments are read where they are allowed") {
  JsonLimits limits;
  limits.comments = true;
  CHECK(parse_json("// a study\n{\"a\": [1]}", "s", Blame::user, limits) == Json{{"a", {1}}});
}

TEST_CASE("every truncation of a document is refused, and random bytes never crash") {
  const std::string text = R"({"name":"m","axes":[1,2.5,-3e4,true,null,"\u00e4"],"deep":{"a":{"b":[[]]}}})";
  CHECK(parse_json(text, "t", Blame::peer)["axes"].size() == 6);
  for (std::size_t length = 0; length < text.size(); ++length)
    CHECK_THROWS_AS(parse_json(text.substr(0, length), "t", Blame::peer), DataError);
  Random random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string broken = text;
    for (int i = 0; i < 3; ++i) broken[random.below(broken.size())] = char(random.below(256));
    try {
      parse_json(broken, "t", Blame::peer);
    } catch (const DataError&) {
    }
  }
}

TEST_CASE("canonical text sorts keys and reads back equal") {
  const Json value = parse_json(R"({"b":0.1,"a":[1,1e300,-0.0]})", "t", Blame::peer);
  CHECK(canonical_text(value) == R"({"a":[1,1e+300,-0.0],"b":0.1})");
  CHECK(parse_json(canonical_text(value), "t", Blame::peer) == value);
}

TEST_CASE("fields are read by type and range, and none is left over") {
  const Json object =
      parse_json(R"({"threads": 2, "name": "x", "ratio": 0.5, "list": [1, 2], "flag": true})", "t", Blame::user);
  Fields fields(object, "study", Blame::user);
  CHECK(fields.integer("threads", 1, 8) == 2);
  CHECK(fields.text("name") == "x");
  CHECK(fields.number("ratio") == 0.5);
  CHECK(fields.integers("list") == std::vector<std::int64_t>{1, 2});
  CHECK_THROWS_WITH(fields.done(), "study: unknown key 'flag'; known are list, name, ratio and threads");
  CHECK(fields.flag_or("flag", false));
  fields.done();
  CHECK_THROWS_WITH(fields.integer("threads", 3, 8), "study: key 'threads' is 2; accepted is 3 to 8");
  CHECK_THROWS_WITH(fields.text("threads"), "study: key 'threads' must be a text, found number");
  CHECK_THROWS_WITH(fields.at("missing"), "study: key 'missing' is missing");
  CHECK_THROWS_WITH(Fields(object["list"], "study", Blame::user), "study: expected an object, found array");
}

TEST_CASE("a misspelt key is answered with the right one") {
  const Json object = parse_json(R"({"quantizer": []})", "t", Blame::user);
  Fields fields(object, "study", Blame::user);
  fields.find("quantizers");
  CHECK_THROWS_WITH(fields.done(), "study: unknown key 'quantizer'; did you mean 'quantizers'?");
}
