#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

namespace {

/// 64 levels: the index is the low 6 bits of a byte.
struct Levels64 {
  static constexpr int kBits = 6;
  static constexpr bool kIntegers = false, kStaysInPlace = false;
  __m512i table;
  QB_INLINE explicit Levels64(const S8Int& at) : table(_mm512_loadu_si512(at.level)) {}
  template <int kQuad>
  QB_INLINE __m512i level(const std::uint8_t* lines) const {
    return _mm512_permutexvar_epi8(code_at<6, 0, kQuad>(lines), table);
  }
};

}  // namespace

void gemm_s8_int_levels6_avx512vbmi(const GemmArgs& args) { fill_columns<Levels64>(args); }

}  // namespace qb
