// What training makes small.
#pragma once
#include <cstdint>
#include <span>

namespace qb {

struct LossSum {
  double nats = 0;           ///< sum over samples of -ln of the target's probability
  std::int64_t correct = 0;  ///< samples whose largest score is the target's; ties go to the lower class
};

/// Softmax cross-entropy of logits [rows, classes] and its derivative by each logit, (p - [class = target]) * scale.
/// Computed in float64 with portable_exp and portable_log. `gradient` has the size of `logits`, or is empty.
LossSum softmax_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> targets, double scale,
                              std::span<float> gradient);

}  // namespace qb
