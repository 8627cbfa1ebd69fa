// Statistics of raw samples: distribution-free, exact where samples are few, and the same digits on every machine.
#pragma once
#include <cstdint>
#include <limits>
#include <span>

namespace qb {

/// A statistic and its confidence interval. Missing numbers are NaN: too few samples give a value without an interval,
/// no samples give neither.
struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
};

inline constexpr double kConfidence = 0.95;

double median(std::span<const double> values);  ///< mean of the middle two for an even count; NaN for none

/// P(X <= k) for X ~ Binomial(n, p), 0 < p < 1, summed term by term in logarithms; 0 for k < 0.
double binomial_cdf(std::int64_t k, std::int64_t n, double p);

/// The median and the interval between order statistics l and n + 1 - l, with the largest l for which
/// 2 P(Binomial(n, 1/2) < l) <= 1 - confidence. Coverage is at least `confidence` for any continuous distribution.
/// Needs 6 values at 0.95. Source: Hahn and Meeker, Statistical Intervals (1991), chapter 5.
Estimate median_interval(std::span<const double> values, double confidence = kConfidence);

/// The value that percentile p (0.5 < p < 1) does not exceed with `confidence`: the largest sample after discarding the
/// top t, for the largest t with P(Binomial(n, 1 - p) <= t) <= 1 - confidence. NaN when n is too small even for t = 0:
/// 44 for p = 0.9, 459 for 0.99. Source: early stopping of MLPerf LoadGen.
double percentile_bound(std::span<const double> values, double p, double confidence = 0.99);
/// The smallest n for which t discarded samples bound percentile p.
std::int64_t percentile_needs(double p, std::int64_t t, double confidence = 0.99);

/// A share of n trials with Wilson's 95 % score interval. 0 <= hits <= n. Source: Wilson, JASA 22 (1927).
Estimate wilson(std::int64_t hits, std::int64_t n);

/// exp(-mean log-likelihood) ± 1.96 propagated standard errors; no interval below two samples.
Estimate perplexity_interval(std::span<const double> log_likelihoods);

/// Two-sided exact p-value that `gained` and `lost` discordant pairs are equally likely; 1 without any.
/// Source: McNemar (1947), in the exact form 2 P(Binomial(gained + lost, 1/2) <= min), at most 1.
double mcnemar_p(std::int64_t gained, std::int64_t lost);

/// median(slow) / median(fast), values > 0. The interval divides the ends of two medians' intervals, each at confidence
/// (1 + kConfidence) / 2, so that by Bonferroni both hold together with kConfidence: distribution-free, deterministic,
/// a little wide. Needs 7 values on each side. The values are blocks of one process launch: differences between
/// launches are not in it.
Estimate ratio_of_medians(std::span<const double> slow, std::span<const double> fast);

double geometric_mean(std::span<const double> values);  ///< values > 0; NaN for none

}  // namespace qb
