#include "models/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qb {

double sqnr_db(std::span<const float> wanted, std::span<const float> got) {
  QB_EXPECTS(wanted.size() == got.size());
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double difference = double(wanted[i]) - double(got[i]);
    signal += double(wanted[i]) * double(wanted[i]);
    noise += difference * difference;
  }
  return noise == 0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(signal / noise);
}

double cosine(std::span<const float> a, std::span<const float> b) {
  QB_EXPECTS(a.size() == b.size());
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += double(a[i]) * double(b[i]);
    aa += double(a[i]) * double(a[i]);
    bb += double(b[i]) * double(b[i]);
  }
  if (aa == 0 || bb == 0) return aa == bb ? 1.0 : 0.0;
  return ab / (std::sqrt(aa) * std::sqrt(bb));
}

namespace {

/// Rounded away probabilities count as the smallest float32, so that one of them does not make a mean infinite.
constexpr double kLeastProbability = std::numeric_limits<float>::denorm_min();

double log_sum_exp(std::span<const float> scores) {
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(double(score) - most);
  return most + std::log(sum);
}

double log_probability(float score, ScoreKind kind, double log_sum) {
  switch (kind) {
    case ScoreKind::logits: return double(score) - log_sum;
    case ScoreKind::probabilities: return std::log(std::max(double(score), kLeastProbability));
    case ScoreKind::log_probabilities: break;
  }
  return std::max(double(score), std::log(kLeastProbability));
}

}  // namespace

ItemScore score_item(std::span<const float> scores, std::int32_t target, ScoreKind kind) {
  QB_EXPECTS(!scores.empty() && target >= 0 && target < std::ssize(scores));
  ItemScore item;
  const float own = scores[std::size_t(target)];
  std::int64_t better = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float held = scores[std::size_t(item.top1)];
    if (scores[i] > held || (held != held && scores[i] == scores[i])) item.top1 = std::int32_t(i);
    better += scores[i] > own || (scores[i] == own && std::int32_t(i) < target);
  }
  const bool is_number = own == own;
  item.hit1 = is_number && item.top1 == target;
  item.hit5 = is_number && better < 5;
  item.log_likelihood = log_probability(own, kind, kind == ScoreKind::logits ? log_sum_exp(scores) : 0);
  return item;
}

std::vector<double> log_probabilities(std::span<const float> scores, ScoreKind kind) {
  QB_EXPECTS(!scores.empty());
  const double log_sum = kind == ScoreKind::logits ? log_sum_exp(scores) : 0;
  std::vector<double> result;
  result.reserve(scores.size());
  for (const float score : scores) result.push_back(log_probability(score, kind, log_sum));
  return result;
}

double kl_divergence(std::span<const double> log_p, std::span<const double> log_q) {
  QB_EXPECTS(log_p.size() == log_q.size());
  double sum = 0;
  for (std::size_t i = 0; i < log_p.size(); ++i) {
    const double p = std::exp(log_p[i]);
    if (p != 0) sum += p * (log_p[i] - log_q[i]);
  }
  return sum;
}

Perplexity perplexity(std::span<const double> log_likelihoods) {
  QB_EXPECTS(!log_likelihoods.empty());
  const auto n = double(log_likelihoods.size());
  double sum = 0, squares = 0;
  for (const double value : log_likelihoods) sum += value;
  const double mean = sum / n;
  for (const double value : log_likelihoods) squares += (value - mean) * (value - mean);
  const double value = std::exp(-mean);
  return {value, n > 1 ? value * std::sqrt(squares / n / (n - 1)) : std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace qb
