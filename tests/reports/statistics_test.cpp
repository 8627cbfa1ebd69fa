#include "reports/statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace qb {
namespace {

std::vector<double> one_to(int n) {
  std::vector<double> values(std::size_t(n), 0.0);
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

// log-factorials near 100 carry about 1e-14 of relative error into each term.
constexpr double kRounding = 1e-11;

TEST_CASE("binomial sums equal exact fractions") {
  CHECK(binomial_cdf(2, 5, 0.5) == doctest::Approx(16.0 / 32).epsilon(kRounding));
  CHECK(binomial_cdf(1, 10, 0.5) == doctest::Approx(11.0 / 1024).epsilon(kRounding));
  CHECK(binomial_cdf(0, 3, 0.25) == doctest::Approx(27.0 / 64).epsilon(kRounding));
  CHECK(binomial_cdf(-1, 3, 0.25) == 0);
  CHECK(binomial_cdf(3, 3, 0.25) == 1);
}

TEST_CASE("the median and its ranks are those of the binomial tables") {
  CHECK(std::isnan(median({})));
  CHECK(median(std::vector{3.0, 1.0, 2.0}) == 2);
  CHECK(median(std::vector{4.0, 1.0, 2.0, 3.0}) == 2.5);
  // Ranks at 95 % from tables of the sign test: n = 6: 1 and 6; 8: 1 and 8; 9: 2 and 8; 10: 2 and 9; 15: 4 and 12; 20:
  // 6 and 15; 50: 18 and 33.
  for (const auto& [n, low, high] :
       {std::array{6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {10, 2, 9}, {15, 4, 12}, {20, 6, 15}, {50, 18, 33}}) {
    INFO("n = ", n);
    const Estimate estimate = median_interval(one_to(n));
    CHECK(estimate.low == low);
    CHECK(estimate.high == high);
  }
  const Estimate few = median_interval(one_to(5));  // 2 / 32 > 5 %
  CHECK(few.value == 3);
  CHECK(std::isnan(few.low));
  CHECK(std::isnan(few.high));
  CHECK(std::isnan(median_interval({}).value));
}

TEST_CASE("a percentile needs as many samples as MLPerf says") {
  // MLPerf LoadGen, early stopping at confidence 0.99: 44, 64, 81 for p90 and 459, 662, 838 for p99.
  for (const auto& [t, p90, p99] : {std::array{0, 44, 459}, {1, 64, 662}, {2, 81, 838}}) {
    CHECK(percentile_needs(0.9, t) == p90);
    CHECK(percentile_needs(0.99, t) == p99);
  }
  CHECK(std::isnan(percentile_bound(one_to(43), 0.9)));
  CHECK(percentile_bound(one_to(44), 0.9) == 44);
  CHECK(percentile_bound(one_to(63), 0.9) == 63);
  CHECK(percentile_bound(one_to(64), 0.9) == 63);
  CHECK(percentile_bound(one_to(81), 0.9) == 79);
}

TEST_CASE("Wilson's interval") {
  // Worked by hand from the formula with z = 1.959964: 8 of 10 gives (0.8 + 0.1920729) / 1.3841459 ± 0.2266804.
  const Estimate share = wilson(8, 10);
  CHECK(share.value == 0.8);
  CHECK(share.low == doctest::Approx(0.4901625).epsilon(1e-6));
  CHECK(share.high == doctest::Approx(0.9433178).epsilon(1e-6));
  CHECK(wilson(0, 10).low == 0);
  CHECK(wilson(10, 10).high == doctest::Approx(1).epsilon(1e-15));
  CHECK(wilson(0, 10).high == doctest::Approx(3.8414588 / 13.8414588).epsilon(1e-6));  // z² / (n + z²)
  CHECK(std::isnan(wilson(0, 0).value));
}

TEST_CASE("perplexity carries the standard error of the mean") {
  // Losses 1, 2, 3: mean 2, mean of squares minus squared mean 2/3, error e² sqrt((2/3) / 2).
  const Estimate ppl = perplexity_interval(std::vector{-1.0, -2.0, -3.0});
  const double error = std::exp(2.0) * std::sqrt(1.0 / 3);
  CHECK(ppl.value == doctest::Approx(std::exp(2.0)).epsilon(1e-12));
  CHECK(ppl.high - ppl.value == doctest::Approx(1.959963984540054 * error).epsilon(1e-9));
  CHECK(std::isnan(perplexity_interval(std::vector{-1.0}).low));
  CHECK(std::isnan(perplexity_interval({}).value));
}

TEST_CASE("McNemar's exact test equals sums of binomial coefficients") {
  CHECK(mcnemar_p(0, 0) == 1);
  CHECK(mcnemar_p(5, 5) == 1);
  CHECK(mcnemar_p(0, 5) == doctest::Approx(2.0 / 32).epsilon(kRounding));
  CHECK(mcnemar_p(8, 2) == doctest::Approx(2.0 * (1 + 10 + 45) / 1024).epsilon(kRounding));
  CHECK(mcnemar_p(2, 8) == mcnemar_p(8, 2));
}

TEST_CASE("a ratio of medians divides the ends of 97.5 % intervals") {
  // n = 8: 2 P(X = 0) = 2/256 and 2 P(X <= 1) = 18/256 > 2.5 %, hence ranks 1 and 8.
  std::vector<double> slow = one_to(8), fast = one_to(8);
  for (double& value : slow) value += 20;
  const Estimate ratio = ratio_of_medians(slow, fast);
  CHECK(ratio.value == doctest::Approx(24.5 / 4.5));
  CHECK(ratio.low == doctest::Approx(21.0 / 8));
  CHECK(ratio.high == doctest::Approx(28.0 / 1));
  CHECK(std::isnan(ratio_of_medians(one_to(6), fast).low));  // 2/64 > 2.5 %
  CHECK(std::isnan(ratio_of_medians({}, fast).value));
}

TEST_CASE("geometric mean") {
  CHECK(geometric_mean(std::vector{2.0, 8.0}) == doctest::Approx(4).epsilon(1e-14));
  CHECK(std::isnan(geometric_mean({})));
}

}  // namespace
}  // namespace qb
