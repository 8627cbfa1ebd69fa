#include "kernels/gemm_s8_int/panels_avx512.h"

namespace qb {

namespace {

/// 16 levels, looked up within each 16 bytes.
struct Levels16 {
  static constexpr int kBits = 4;
  static constexpr bool kIntegers = false, kStaysInPlace = false;
  __m512i table;
  QB_INLINE explicit Levels16(const S8Int& at)
      : table(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at.level)))) {}
  template <int kQuad>
  QB_INLINE __m512i level(const std::uint8_t* lines) const {
    return _mm512_shuffle_epi8(table, _mm512_and_si512(code_at<4, 0, kQuad>(lines), _mm512_set1_epi8(0x0f)));
  }
};

}  // namespace

void gemm_s8_int_levels4_avx512vnni(const GemmArgs& args) { fill_columns<Levels16>(args); }

}  // namespace qb
