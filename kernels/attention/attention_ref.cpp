#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"

namespace qb {

namespace {

/// Calls body(j, key, value) for the keys that query i sees, j counting through both parts.
template <class Body>
void for_each_key(const AttentionArgs& args, std::int64_t i, Body body) {
  std::int64_t j = 0;
  for (const AttentionKeys& part : args.parts)
    for (std::int64_t p = 0; p < part.positions && j < args.first_unseen + i * args.unseen_step; ++p, ++j)
      body(j, part.key + p * part.key_stride, part.value + p * part.value_stride);
}

/// What query i gives a key, before softmax.
double score(const AttentionArgs& args, std::int64_t i, std::int64_t j, const float* key) {
  double sum = 0;
  for (std::int64_t e = 0; e < args.key_size; ++e) sum += double(args.q[i * args.q_stride + e]) * double(key[e]);
  sum *= double(args.scale);
  if (args.softcap > 0) sum = double(args.softcap) * std::tanh(sum / double(args.softcap));
  return args.mask ? sum + double(args.mask[i * args.mask_stride + j]) : sum;
}

}  // namespace

void attention_ref(const AttentionArgs& args) {
  for (std::int64_t i = 0; i < args.queries; ++i) {
    double most = -std::numeric_limits<double>::infinity();
    for_each_key(args, i, [&](std::int64_t j, const float* key, const float*) {
      most = std::max(most, score(args, i, j, key));
    });
    float* y = args.y + i * args.y_stride;
    std::fill(y, y + args.value_size, 0.0f);
    if (!(most > -std::numeric_limits<double>::infinity())) continue;
    double total = 0;
    std::vector<double> sums(std::size_t(args.value_size), 0.0);
    for_each_key(args, i, [&](std::int64_t j, const float* key, const float* value) {
      const double weight = std::exp(score(args, i, j, key) - most);
      total += weight;
      for (std::int64_t e = 0; e < args.value_size; ++e) sums[std::size_t(e)] += weight * double(value[e]);
    });
    for (std::int64_t e = 0; e < args.value_size; ++e) y[e] = float(sums[std::size_t(e)] / total);
  }
}

}  // namespace qb
