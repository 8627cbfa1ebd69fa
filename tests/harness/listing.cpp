#include "harness/listing.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/registry.h"
#include "quantizers/options.h"

namespace qb {
namespace {

constexpr const char* kLists[] = {"models", "quantizers", "steps", "kernels", "hardware", "datasets"};

TEST_CASE("every list fits the page, and names every row") {
  for (const std::string what : kLists)
    for (const int width : {100, 140}) {
      CAPTURE(what);
      CAPTURE(width);
      const Json rows = listing(what, {});
      const std::string text = listing_text(what, rows, width);
      REQUIRE_FALSE(text.empty());
      for (const std::string_view line : split(text, '\n')) CHECK(line.size() <= std::size_t(width));
      const std::string key = what.substr(0, what.size() - 1) == "hardwar" ? "isa" : what.substr(0, what.size() - 1);
      for (const Json& row : rows) CHECK(text.find(row[key].get<std::string>()) != std::string::npos);
    }
}

TEST_CASE("the list of quantizers has every option with its default, what it accepts and what it means") {
  const Json rows = listing("quantizers", {});
  REQUIRE(rows.size() == quantizers().size());
  const std::string text = listing_text("quantizers", rows, 400);  // wide enough that nothing is wrapped
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto options = all_options(quantizers()[i]);
    REQUIRE(rows[i]["options"].size() == options.size());
    for (std::size_t j = 0; j < options.size(); ++j) {
      CHECK(rows[i]["options"][j]["option"] == options[j].key);
      CHECK(rows[i]["options"][j]["default"] == options[j].otherwise);
      for (const std::string_view word :
           {options[j].key, options[j].otherwise, options[j].accepted, options[j].meaning})
        CHECK(text.find(word) != std::string::npos);
    }
  }
}

TEST_CASE("the list of kernels is the kernel table, and says which run here") {
  const Json rows = listing("kernels", {});
  REQUIRE(rows.size() == kernels().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i]["kernel"] == kernels()[i].name);
    if (kernels()[i].reference) CHECK(rows[i]["here"] == "yes");
  }
}

TEST_CASE("a list that is not there is refused with the nearest name") {
  CHECK_THROWS_WITH_AS(listing("kernel", {}), doctest::Contains("did you mean 'kernels'?"), InputError);
}

}  // namespace
}  // namespace qb
