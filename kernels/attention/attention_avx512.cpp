#include "kernels/attention/few_queries.h"
#include "kernels/attention/query_strips.h"
#include "kernels/curves/math_avx512.h"

namespace qb {

namespace {

struct AttentionAvx512 : Avx512Math {
  static constexpr int kStripVectors = 4, kFewQueries = 8, kFewRows = 4, kFewSums = 16;

  static QB_INLINE Floats deal_low(Floats a, Floats b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
  }
  static QB_INLINE Floats deal_high(Floats a, Floats b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
                                  b);
  }
};

}  // namespace

void attention_avx512(const AttentionArgs& args) {
  if (args.queries <= AttentionAvx512::kFewQueries) return attend_few<AttentionAvx512>(args);
  attend_strips<AttentionAvx512>(args);
}

}  // namespace qb
