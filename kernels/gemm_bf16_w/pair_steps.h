// Steps of 32 weights in pairs, as vdpbf16ps takes them, for multiply_channel_tables.h.
// Included under instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/gemm_bf16_w/pair_decoders.h"
#include "kernels/gemm_f32_w/multiply_channel_tables.h"

namespace qb {

namespace {

template <class VectorType, int kCodeBits>
struct PairSteps {
  using Vector = VectorType;
  using Element = std::uint16_t;  ///< bf16
  using Values = __m512i;
  using Sums = __m512;
  static constexpr int kBits = kCodeBits;
  static constexpr int kElementBits = 16;
  static constexpr int kWeights = 32;
  static constexpr int kRegisters = kBits <= 5 ? 1 : 1 << (kBits - 5);

  struct Table {
    static constexpr int kRows = kRegisters == 1 ? 4 : kRegisters == 2 ? 2 : 0;
    __m512i levels[kRegisters];
    QB_INLINE explicit Table(const unsigned char* table) {
      QB_UNROLL for (int i = 0; i < kRegisters; ++i) levels[i] = _mm512_loadu_si512(table + 64 * i);
    }
  };

  static QB_INLINE Values levels(const Table& table, __m512i words, int step) {
    return look_up_pairs<kBits>(table.levels, Avx512::right_halves(words, step * kBits));
  }
  static QB_INLINE Values load(const std::uint16_t* a) { return _mm512_loadu_si512(a); }
  static QB_INLINE void store(std::uint16_t* to, Values values) { _mm512_storeu_si512(to, values); }
  static QB_INLINE Sums zero() { return _mm512_setzero_ps(); }
  static QB_INLINE void add_products(Sums& sums, Values a, Values w) { add_pairs(sums, a, w); }
};

}  // namespace

}  // namespace qb
