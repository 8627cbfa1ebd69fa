#include "reports/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/error.h"
#include "models/metrics.h"

namespace qb {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNormal975 = 1.959963984540054;  ///< 97.5 % point of the standard normal distribution

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  std::sort(result.begin(), result.end());
  return result;
}

double middle_of(const std::vector<double>& rising) {
  const std::size_t n = rising.size();
  if (n == 0) return kNaN;
  return n % 2 == 1 ? rising[n / 2] : rising[n / 2 - 1] + (rising[n / 2] - rising[n / 2 - 1]) / 2;
}

/// lgamma of glibc without its global sign variable, hence fit for threads.
double log_factorial(std::int64_t n) {
  int sign = 0;
  return ::lgamma_r(double(n) + 1, &sign);
}

}  // namespace

double median(std::span<const double> values) { return middle_of(sorted(values)); }

double binomial_cdf(std::int64_t k, std::int64_t n, double p) {
  QB_EXPECTS(n >= 0 && p > 0 && p < 1);
  if (k < 0) return 0;
  if (k >= n) return 1;
  double sum = 0;
  for (std::int64_t i = 0; i <= k; ++i)
    sum += std::exp(log_factorial(n) - log_factorial(i) - log_factorial(n - i) + double(i) * std::log(p) +
                    double(n - i) * std::log1p(-p));
  return std::min(sum, 1.0);
}

Estimate median_interval(std::span<const double> values, double confidence) {
  const std::vector<double> rising = sorted(values);
  Estimate estimate{middle_of(rising), kNaN, kNaN};
  const std::int64_t n = std::ssize(rising);
  // Rounding in the sum of logarithms must not decide: 1e-12 is far below the step between two ranks.
  const double tail = (1 - confidence) / 2 + 1e-12;
  std::int64_t rank = 0;
  double below = 0;
  while (rank < n / 2 && (below += std::exp(log_factorial(n) - log_factorial(rank) - log_factorial(n - rank) -
                                            double(n) * std::log(2.0))) <= tail)
    ++rank;
  if (rank == 0) return estimate;
  estimate.low = rising[std::size_t(rank - 1)];
  estimate.high = rising[std::size_t(n - rank)];
  return estimate;
}

std::int64_t percentile_needs(double p, std::int64_t t, double confidence) {
  QB_EXPECTS(p > 0.5 && p < 1 && t >= 0);
  std::int64_t low = t + 1, high = 2 * low;
  while (binomial_cdf(t, high, 1 - p) > 1 - confidence) high *= 2;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (binomial_cdf(t, middle, 1 - p) <= 1 - confidence)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

double percentile_bound(std::span<const double> values, double p, double confidence) {
  QB_EXPECTS(p > 0.5 && p < 1);
  const std::int64_t n = std::ssize(values);
  std::int64_t discarded = -1;
  while (discarded + 1 < n && binomial_cdf(discarded + 1, n, 1 - p) <= 1 - confidence) ++discarded;
  if (discarded < 0) return kNaN;
  return sorted(values)[std::size_t(n - 1 - discarded)];
}

Estimate wilson(std::int64_t hits, std::int64_t n) {
  QB_EXPECTS(hits >= 0 && hits <= n);
  if (n == 0) return {};
  const double share = double(hits) / double(n), z2 = kNormal975 * kNormal975, count = double(n);
  const double centre = (share + z2 / (2 * count)) / (1 + z2 / count);
  const double reach =
      kNormal975 / (1 + z2 / count) * std::sqrt(share * (1 - share) / count + z2 / (4 * count * count));
  return {share, std::max(0.0, centre - reach), std::min(1.0, centre + reach)};
}

Estimate perplexity_interval(std::span<const double> log_likelihoods) {
  if (log_likelihoods.empty()) return {};
  const Perplexity found = perplexity(log_likelihoods);
  if (log_likelihoods.size() < 2) return {found.value, kNaN, kNaN};
  return {found.value, found.value - kNormal975 * found.error, found.value + kNormal975 * found.error};
}

double mcnemar_p(std::int64_t gained, std::int64_t lost) {
  QB_EXPECTS(gained >= 0 && lost >= 0);
  return std::min(1.0, 2 * binomial_cdf(std::min(gained, lost), gained + lost, 0.5));
}

Estimate ratio_of_medians(std::span<const double> slow, std::span<const double> fast) {
  const Estimate a = median_interval(slow, (1 + kConfidence) / 2), b = median_interval(fast, (1 + kConfidence) / 2);
  return {a.value / b.value, a.low / b.high, a.high / b.low};
}

double geometric_mean(std::span<const double> values) {
  if (values.empty()) return kNaN;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / double(values.size()));
}

}  // namespace qb
