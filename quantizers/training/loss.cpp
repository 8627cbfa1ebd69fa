#include "quantizers/training/loss.h"

#include <algorithm>
#include <vector>

#include "kernels/base/elementary.h"
#include "kernels/base/error.h"

namespace qb {

LossSum softmax_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> targets, double scale,
                              std::span<float> gradient) {
  QB_EXPECTS(!targets.empty() && logits.size() % targets.size() == 0);
  QB_EXPECTS(gradient.empty() || gradient.size() == logits.size());
  const std::size_t classes = logits.size() / targets.size();
  std::vector<double> shares(classes);
  LossSum sum;
  for (std::size_t row = 0; row < targets.size(); ++row) {
    const std::span<const float> scores = logits.subspan(row * classes, classes);
    const auto target = std::size_t(targets[row]);
    QB_EXPECTS(target < classes);
    const auto largest = std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (std::size_t c = 0; c < classes; ++c) total += shares[c] = portable_exp(double(scores[c]) - double(*largest));
    sum.nats += portable_log(total) - (double(scores[target]) - double(*largest));
    sum.correct += std::size_t(largest - scores.begin()) == target;
    for (std::size_t c = 0; c < classes && !gradient.empty(); ++c)
      gradient[row * classes + c] = float((shares[c] / total - (c == target ? 1.0 : 0.0)) * scale);
  }
  return sum;
}

}  // namespace qb
