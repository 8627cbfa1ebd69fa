#include "kernels/attention/few_queries.h"
#include "kernels/attention/query_strips.h"
#include "kernels/curves/math_avx2.h"

namespace qb {

namespace {

struct AttentionAvx2 : Avx2Math {
  static constexpr int kStripVectors = 2, kFewQueries = 4, kFewRows = 2, kFewSums = 8;

  static QB_INLINE Floats deal_low(Floats a, Floats b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
  }
  static QB_INLINE Floats deal_high(Floats a, Floats b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
  }
};

}  // namespace

void attention_avx2(const AttentionArgs& args) {
  if (args.queries <= AttentionAvx2::kFewQueries) return attend_few<AttentionAvx2>(args);
  attend_strips<AttentionAvx2>(args);
}

}  // namespace qb
