#include "kernels/levels.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "tests/golden_json.h"

using namespace qb;

namespace {

/// The quantile of the normal distribution by bisection of its distribution function; to the last bits of erfc.
double normal_quantile(double probability) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

TEST_CASE("NF4 is what its paper derives: equal shares of a normal distribution on either side of an exact zero") {
  // Eight positive and seven negative quantiles between the offset and 1/2, scaled by the largest.
  const double offset = 0.9677083;  // 1 - (1/32 + 1/30) / 2, to the seven digits of the published code
  std::vector<double> levels = {0.0};
  for (int i = 0; i < 8; ++i) levels.push_back(normal_quantile(offset + (0.5 - offset) * i / 8));
  for (int i = 0; i < 7; ++i) levels.push_back(-normal_quantile(offset + (0.5 - offset) * i / 7));
  std::sort(levels.begin(), levels.end());
  // The published table was computed in float32: a few units of 2^-25.
  for (std::size_t i = 0; i < 16; ++i) CHECK(std::abs(levels[i] / levels[15] - double(kNf4Levels[i])) < 1.2e-7);
}

TEST_CASE("fixed tables agree with the golden codebooks") {
  const nlohmann::json books = golden("codebook/codebooks.json");
  if (books.is_null()) return;
  const std::pair<const char*, const char*> names[] = {
      {"nf4", "nf4"}, {"af4_64", "af4"}, {"bnb_fp4_code_order", "fp4"}, {"iq4nl", "iq4nl"}, {"e2m1", "e2m1"}};
  for (const auto& [file, set] : names) {
    const std::vector<double> wanted = books[file];
    const std::span<const float> levels = levels_named(set);
    REQUIRE(levels.size() >= wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      INFO(fmt::format("{} {}", set, i));
      CHECK(levels[i] == float(wanted[i]));
      CHECK(std::signbit(levels[i]) == std::signbit(wanted[i]));
    }
  }
  const std::vector<double> rederived = books["nf4_rederived_f64"], thresholds = books["nf4_thresholds"];
  for (std::size_t i = 0; i < 16; ++i) CHECK(std::abs(rederived[i] - double(kNf4Levels[i])) < 1.2e-7);
  const std::vector<float> ours = level_thresholds(kNf4Levels);
  REQUIRE(ours.size() == thresholds.size());
  for (std::size_t i = 0; i < ours.size(); ++i) CHECK(ours[i] == float(thresholds[i]));
  for (int bits = 2; bits <= 6; ++bits)
    CHECK(apot_levels(bits) == books["apot_positive"][std::to_string(bits)].get<std::vector<double>>());
  for (int bits = 4; bits <= 7; ++bits) {
    const auto magnitudes = books["apot_positive"][std::to_string(bits - 1)].get<std::vector<double>>();
    const std::span<const float> levels = apot_set(bits);
    REQUIRE(levels.size() == 2 * magnitudes.size() - 1);
    for (std::size_t i = 0; i < magnitudes.size(); ++i) {
      CHECK(double(levels[magnitudes.size() - 1 + i]) / double(levels.back()) == magnitudes[i]);
      CHECK(levels[magnitudes.size() - 1 - i] == -levels[magnitudes.size() - 1 + i]);
    }
  }
}

TEST_CASE("negative halves of float sets mirror the positive ones, minus zero included") {
  for (const char* set : {"e2m1", "e2m3", "e3m2", "e4m3", "e5m2"}) {
    const std::span<const float> levels = levels_named(set);
    const std::size_t half = levels.size() / 2;
    for (std::size_t code = 0; code < half; ++code) {
      if (std::isnan(levels[code])) {
        CHECK(std::isnan(levels[code + half]));
        continue;
      }
      CHECK(levels[code + half] == -levels[code]);
      CHECK(std::signbit(levels[code + half]));
    }
  }
  CHECK(levels_named("e4m3")[0x7e] == 448.0f);
  CHECK(levels_named("e5m2")[0x7b] == 57344.0f);
  CHECK(std::isinf(levels_named("e5m2")[0x7c]));
}

TEST_CASE("the nearest level: exact levels, ties to the lower code, ends, and thresholds that agree") {
  for (const char* set : {"nf4", "af4", "af4b32", "iq4nl", "ternary", "pot3", "pot5", "apot4", "apot7"}) {
    const std::span<const float> levels = levels_named(set);
    for (std::size_t i = 0; i < levels.size(); ++i) CHECK(nearest_level(levels, levels[i]) == int(i));
    CHECK(nearest_level(levels, -1e30f) == 0);
    CHECK(nearest_level(levels, 1e30f) == int(levels.size()) - 1);
    const std::vector<float> thresholds = level_thresholds(levels);
    for (std::size_t i = 0; i < thresholds.size(); ++i) {
      CHECK(nearest_level(levels, std::nextafter(thresholds[i], -1e30f)) == int(i));
      CHECK(nearest_level(levels, std::nextafter(thresholds[i], 1e30f)) == int(i) + 1);
    }
  }
  CHECK(nearest_level(kTernaryLevels, 0.5f) == 1);
  CHECK(nearest_level(kTernaryLevels, -0.5f) == 0);
  CHECK(nearest_level(levels_named("e4m3"), 1e9f) == 0x7e);
  CHECK(nearest_level(levels_named("e5m2"), -1e9f) == 0xfb);
  CHECK(nearest_level(kFp4Levels, 0.9f) == 3);
}

TEST_CASE("dynamic levels are an 8-bit float with a decimal exponent of as many bits as it needs") {
  const std::span<const float> levels = dynamic_levels();
  REQUIRE(levels.size() == 256);
  CHECK(std::is_sorted(levels.begin(), levels.end(), std::less_equal<>()));
  CHECK(levels[127] == 0.0f);
  CHECK(levels[255] == 1.0f);
  // Seven decades, of which that of 10^-j is cut into 2^(7-j) parts; a level is the middle of its part.
  CHECK(levels[254] == 0.99296875f);
  CHECK(levels[128] == 5.5e-7f);
  for (std::size_t i = 0; i < 127; ++i) CHECK(levels[i] == -levels[254 - i]);
  for (int decade = 1; decade <= 7; ++decade) {
    const double end = std::pow(10.0, 1 - decade);
    CHECK(std::count_if(levels.begin(), levels.end(), [&](float level) {
            return double(level) > end / 10 && double(level) < end;
          }) == 1 << (7 - decade));
  }
}

TEST_CASE("powers of two halve from one downward, with a zero") {
  CHECK(pot_levels(1) == std::vector<double>{0.0, 1.0});
  CHECK(pot_levels(2) == std::vector<double>{0.0, 0.25, 0.5, 1.0});
  CHECK(pot_levels(6).size() == 64);
}

TEST_CASE("an unknown level set is refused with the nearest name") {
  CHECK_THROWS_WITH_AS(levels_named("nf5"), doctest::Contains("level set 'nf5' is not known"), InputError);
}
