// How parameters follow gradients, and how fast.
#pragma once
#include <cstdint>

#include "models/import.h"

namespace qb {

/// Adam: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
/// Source: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1.
class Adam {
 public:
  struct Options {
    float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  };

  explicit Adam(const TensorMap& parameters) : Adam(parameters, Options{}) {}
  Adam(const TensorMap& parameters, Options options);

  /// One step; `gradients` has the names and shapes of `parameters`.
  void step(TensorMap& parameters, const TensorMap& gradients, double rate);

 private:
  Options options_;
  TensorMap mean_, square_;
  double mean_left_ = 1, square_left_ = 1;  ///< b1^t and b2^t
};

/// A rate that falls from `highest` at step 0 to 0 at `steps` along half a cosine wave, after a straight rise over the
/// first twentieth of the steps. Source of the wave: Loshchilov and Hutter 2017 (arXiv:1608.03983), without restarts.
double cosine_rate(double highest, std::int64_t step, std::int64_t steps);

}  // namespace qb
