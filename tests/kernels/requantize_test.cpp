#include "kernels/requantize.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <limits>

#include "kernels/base/error.h"
#include "tests/golden_json.h"

using namespace qb;

constexpr std::int32_t kLow = std::numeric_limits<std::int32_t>::min(),
                       kHigh = std::numeric_limits<std::int32_t>::max();

TEST_CASE("real multipliers decompose into a mantissa and a shift") {
  CHECK(fixed_multiplier(0.5) == FixedMultiplier{1 << 30, 0});
  CHECK(fixed_multiplier(0.25) == FixedMultiplier{1 << 30, -1});
  CHECK(fixed_multiplier(1.0 / 3) == FixedMultiplier{1431655765, -1});
  CHECK(fixed_multiplier(1.5) == FixedMultiplier{1610612736, 1});
  CHECK(fixed_multiplier(0.0) == FixedMultiplier{});
  CHECK(fixed_multiplier(0x1p-33) == FixedMultiplier{});
  CHECK(fixed_multiplier(1.0 - 0x1p-40) == FixedMultiplier{1 << 30, 1});  // the mantissa rounds up to 2^31
  CHECK_THROWS_AS(fixed_multiplier(-0.5), InputError);
  CHECK_THROWS_AS(fixed_multiplier(0x1p30), InputError);
  CHECK_THROWS_AS(fixed_multiplier(std::numeric_limits<double>::quiet_NaN()), InputError);
}

TEST_CASE("the two primitives at ties and ends") {
  CHECK(doubling_high_product(1 << 30, 1) == 1);
  CHECK(doubling_high_product(-(1 << 30), 1) == 0);
  CHECK(doubling_high_product(kLow, kLow) == kHigh);
  CHECK(divide_by_power(1, 1) == 1);
  CHECK(divide_by_power(-1, 1) == -1);
  CHECK(divide_by_power(-3, 2) == -1);
  CHECK(divide_by_power(kLow, 31) == -1);
  CHECK(divide_by_power(kHigh, 31) == 1);
}

TEST_CASE("single and double rounding differ where a tie is made by the first step") {
  const FixedMultiplier quarter = fixed_multiplier(0.25);
  CHECK(requantize(1, quarter, Requantization::double_rounding) == 1);
  CHECK(requantize(1, quarter, Requantization::single_rounding) == 0);
  CHECK(requantize(1, quarter, Requantization::float64) == 0);
}

TEST_CASE("large multipliers saturate instead of wrapping") {
  const FixedMultiplier large = fixed_multiplier(0x1p29);
  for (const auto rounding :
       {Requantization::double_rounding, Requantization::single_rounding, Requantization::float64}) {
    CHECK(requantize(1'000'000, large, rounding) == kHigh);
    CHECK(requantize(-1'000'000, large, rounding) == kLow);
    CHECK(requantize(3, large, rounding) == 3 << 29);
    CHECK(requantize(kLow, fixed_multiplier(1.0), rounding) == kLow);
  }
  CHECK(requantize(kHigh, 2.5) == kHigh);
}

TEST_CASE("every row of the golden requantization") {
  const nlohmann::json rows = golden("requant/gemmlowp_requant.json");
  if (rows.is_null()) return;
  for (const auto& row : rows["srdhm"]["rows"])
    CHECK(doubling_high_product(row[0].get<int>(), row[1].get<int>()) == row[2].get<int>());
  for (const auto& row : rows["rdbypot"]["rows"])
    CHECK(divide_by_power(row[0].get<int>(), row[1].get<int>()) == row[2].get<int>());
  CHECK(rows["requant"]["rows"].size() == 336);
  for (const auto& row : rows["requant"]["rows"]) {
    const int accumulator = row[0].get<int>();
    const double real = std::strtod(row[1].get<std::string>().c_str(), nullptr);
    INFO(fmt::format("{} * {}", accumulator, real));
    const FixedMultiplier multiplier = fixed_multiplier(real);
    CHECK(multiplier == FixedMultiplier{row[2].get<int>(), row[3].get<int>()});
    CHECK(requantize(accumulator, multiplier, Requantization::double_rounding) == row[4].get<int>());
    CHECK(requantize(accumulator, multiplier, Requantization::single_rounding) == row[5].get<int>());
    CHECK(requantize(accumulator, real) == row[6].get<int>());
  }
}
