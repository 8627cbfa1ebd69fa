// What a method lost: computed from outputs, never from time.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/base/tensor.h"

namespace qb {

double sqnr_db(std::span<const float> wanted,
               std::span<const float> got);  ///< 10 log10(sum x^2 / sum (x - y)^2); +inf if equal
double cosine(std::span<const float> a, std::span<const float> b);  ///< in float64; 1 for two zero vectors

/// What one sample's scores say. Scores may be logits, probabilities or log-probabilities: `log_softmax` is applied to
/// logits; outputs that are already normalised (Softmax, LogSoftmax last) are recognised by the caller.
struct ItemScore {
  std::int32_t top1 = 0;  ///< ties go to the lower class
  bool hit1 = false, hit5 = false;
  double log_likelihood = 0;  ///< natural log of the target's probability
};
enum class ScoreKind : std::uint8_t { logits, probabilities, log_probabilities };

/// `target` in [0, scores.size()). A target whose score is NaN is no hit. Probabilities below the smallest float32
/// count as that, so that log-likelihoods of finite scores are finite.
ItemScore score_item(std::span<const float> scores, std::int32_t target, ScoreKind kind);
std::vector<double> log_probabilities(std::span<const float> scores, ScoreKind kind);

/// KL(p || q) in nats of two rows of log-probabilities; terms with p = 0 count nothing.
double kl_divergence(std::span<const double> log_p, std::span<const double> log_q);

/// exp(-mean log-likelihood) with the standard error propagated: value * sqrt(variance / (n - 1)); NaN for n = 1.
/// Needs at least one value. Source of the error: llama.cpp, tools/perplexity.
struct Perplexity {
  double value = 0, error = 0;
};
Perplexity perplexity(std::span<const double> log_likelihoods);

}  // namespace qb
