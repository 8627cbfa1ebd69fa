#include "kernels/attention/few_queries.h"
#include "kernels/attention/query_strips.h"
#include "kernels/curves/math_neon.h"

namespace qb {

namespace {

struct AttentionNeon : NeonMath {
  static constexpr int kStripVectors = 2, kFewQueries = 4, kFewRows = 2, kFewSums = 8;

  static QB_INLINE Floats deal_low(Floats a, Floats b) { return {vzip1q_f32(a.low, b.low), vzip2q_f32(a.low, b.low)}; }
  static QB_INLINE Floats deal_high(Floats a, Floats b) {
    return {vzip1q_f32(a.high, b.high), vzip2q_f32(a.high, b.high)};
  }
};

}  // namespace

void attention_neon(const AttentionArgs& args) {
  if (args.queries <= AttentionNeon::kFewQueries) return attend_few<AttentionNeon>(args);
  attend_strips<AttentionNeon>(args);
}

}  // namespace qb
