#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

namespace {

/// Levels -1 and 1 as 0 and 2: a bit that is left one place higher.
struct SignCodes : PlainCodes<1> {
  using PlainCodes<1>::PlainCodes;
  template <int kQuad>
  QB_INLINE __m512i level(const std::uint8_t* lines) const {
    return _mm512_and_si512(code_at<1, 1, kQuad>(lines), _mm512_set1_epi8(2));
  }
  QB_INLINE static __m512i from_place(__m512i sum) { return _mm512_slli_epi32(sum, 1); }
};

}  // namespace

void gemm_s8_int1_avx512vnni(const GemmArgs& args) {
  const bool signs = static_cast<const S8Int*>(args.w)->level[1] == 2;
  signs ? fill_columns<SignCodes>(args) : fill_columns<PlainCodes<1>>(args);
}

}  // namespace qb
