#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "models/data/generated/generated.h"

namespace qb {
namespace {

constexpr double kWhole = 65536;

/// The tokens of one window, from their one-hot form.
std::vector<std::int64_t> tokens_of(const Dataset& data, std::int64_t row, const GrammarOptions& options) {
  const float* values = data.inputs.as<float>().data() + row * options.window * options.vocabulary;
  std::vector<std::int64_t> tokens;
  for (std::int64_t t = 0; t < options.window; ++t) {
    int ones = 0;
    for (std::int64_t v = 0; v < options.vocabulary; ++v) {
      const float value = values[t * options.vocabulary + v];
      REQUIRE((value == 0.0f || value == 1.0f));
      if (value == 1.0f) {
        ++ones;
        tokens.push_back(v);
      }
    }
    REQUIRE(ones == 1);
  }
  return tokens;
}

double probability(const GrammarRules& rules, const std::vector<std::int64_t>& tokens, std::int32_t next) {
  std::int64_t context = 0;
  for (std::size_t t = tokens.size() - std::size_t(rules.order); t < tokens.size(); ++t)
    context = context * rules.vocabulary + tokens[t];
  return double(rules.parts[std::size_t(context * rules.vocabulary + next)]) / kWhole;
}

}  // namespace

TEST_CASE("two tokens that look one back have the entropy rate of the textbook") {
  for (const std::int64_t language : {1, 2, 3}) {
    const GrammarRules rules =
        grammar_rules({.vocabulary = 2, .order = 1, .window = 1, .branches = 1, .language = language});
    const double a = rules.parts[1] / kWhole, b = rules.parts[2] / kWhole;  // 0 to 1, and 1 to 0
    const auto entropy = [](double p) { return -p * std::log(p) - (1 - p) * std::log(1 - p); };
    // Stationary: (b, a) / (a + b). Cover and Thomas 2006, example 4.2.
    CHECK(rules.stationary[0] == doctest::Approx(b / (a + b)).epsilon(1e-12));
    CHECK(rules.entropy_rate_nats == doctest::Approx((b * entropy(a) + a * entropy(b)) / (a + b)).epsilon(1e-12));
  }
}

TEST_CASE("rules are distributions, and the stationary one stays") {
  const GrammarOptions options;
  const GrammarRules rules = grammar_rules(options);
  const std::int64_t contexts = std::ssize(rules.stationary);
  CHECK(contexts == 256);
  std::vector<double> next(std::size_t(contexts), 0.0);
  double total = 0;
  for (std::int64_t c = 0; c < contexts; ++c) {
    std::uint32_t sum = 0;
    for (std::int64_t v = 0; v < options.vocabulary; ++v) {
      const std::uint32_t part = rules.parts[std::size_t(c * options.vocabulary + v)];
      CHECK(part > 0);
      sum += part;
      next[std::size_t((c * options.vocabulary + v) % contexts)] += rules.stationary[std::size_t(c)] * part / kWhole;
    }
    CHECK(sum == 65536);
    total += rules.stationary[std::size_t(c)];
  }
  CHECK(total == doctest::Approx(1.0).epsilon(1e-12));
  for (std::int64_t c = 0; c < contexts; ++c)
    CHECK(std::abs(next[std::size_t(c)] - rules.stationary[std::size_t(c)]) < 1e-13);
}

TEST_CASE("the mean log-likelihood under the true rules approaches minus the entropy rate") {
  for (const GrammarOptions& options :
       {GrammarOptions{}, GrammarOptions{.vocabulary = 5, .order = 3, .window = 5, .language = 7}}) {
    const GrammarRules rules = grammar_rules(options);
    const Dataset data = grammar(options, "test", 40000, 1);
    CHECK(data.entropy_rate_nats == rules.entropy_rate_nats);
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < data.count(); ++i) {
      const double loss = -std::log(probability(rules, tokens_of(data, i, options), data.targets[std::size_t(i)]));
      sum += loss;
      squares += loss * loss;
    }
    const auto n = double(data.count());
    const double mean = sum / n, error = std::sqrt((squares / n - mean * mean) / n);
    // Samples are independent: four standard errors fail once in 16000 seeds, and the seed is fixed.
    CHECK(std::abs(mean - rules.entropy_rate_nats) < 4 * error);
    CHECK(error < 0.01);
  }
}

TEST_CASE("a seed gives the same tokens on every machine, whatever the count") {
  const Dataset data = grammar({}, "test", 500, 1);
  CHECK(data.digest == "8f8ee1f1360a624f87db39a46f1e0d6ecc698357f852ee9de218849620aa1de9");
  CHECK(data.inputs.shape == Shape{500, 64});
  CHECK(data.classes == 16);
  const Dataset few = grammar({}, "test", 20, 1);
  for (std::int64_t i = 0; i < few.count(); ++i) {
    CHECK(tokens_of(few, i, {}) == tokens_of(data, i, {}));
    CHECK(few.targets[std::size_t(i)] == data.targets[std::size_t(i)]);
  }
  CHECK(grammar({}, "train", 500, 1).digest != data.digest);
  CHECK(grammar({}, "test", 500, 2).digest != data.digest);
}

TEST_CASE("options of grammar read back, and faults are named") {
  const GrammarOptions options = {.vocabulary = 8, .order = 3, .window = 6, .branches = 2, .language = 9};
  CHECK(grammar_options(Json::parse(to_text(options)), "options", Blame::user) == options);
  CHECK(grammar_options(Json::object(), "options", Blame::user) == GrammarOptions{});
  CHECK(grammar_options({{"vocabulary", 3}}, "options", Blame::user).branches == 3);
  CHECK_THROWS_WITH_AS(grammar_options({{"windows", 3}}, "study", Blame::user), doctest::Contains("'window'"),
                       InputError);
  CHECK_THROWS_WITH_AS(grammar_options({{"vocabulary", 64}, {"order", 3}}, "study", Blame::user),
                       doctest::Contains("4096"), InputError);
  CHECK_THROWS_AS(grammar_options({{"window", 1}}, "study", Blame::user), InputError);
  CHECK_THROWS_AS(grammar_options({{"branches", 17}}, "study", Blame::user), InputError);
}

}  // namespace qb
