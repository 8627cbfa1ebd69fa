// 16 columns as one AVX-512 register: what the loops and decoders that are written once need of an instruction set.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kTileVectors = 4;  ///< tiles of 6 rows and this many vectors fit the registers
  using Floats = __m512;
  using Words = __m512i;  ///< 32 bits per lane

  static QB_INLINE Floats zero() { return _mm512_setzero_ps(); }
  static QB_INLINE Floats all(float x) { return _mm512_set1_ps(x); }
  static QB_INLINE Floats load(const float* x) { return _mm512_loadu_ps(x); }
  static QB_INLINE void store(float* x, Floats values) { _mm512_storeu_ps(x, values); }
  static QB_INLINE __mmask16 mask_of(std::int64_t count) {
    return count >= 16 ? __mmask16(0xffff) : __mmask16((1u << count) - 1u);
  }
  /// The first `count` lanes; more than there are mean all.
  static QB_INLINE Floats load_first(const float* x, std::int64_t count) {
    return _mm512_maskz_loadu_ps(mask_of(count), x);
  }
  static QB_INLINE void store_first(float* x, Floats values, std::int64_t count) {
    _mm512_mask_storeu_ps(x, mask_of(count), values);
  }
  static QB_INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static QB_INLINE Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static QB_INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static QB_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

  /// Four results, each the sum of one vector's lanes in a fixed order, begin a row or join it.
  static QB_INLINE void add_sums(float* y, bool first, Floats a, Floats b, Floats c, Floats d) {
    const Floats ab = add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const Floats cd = add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const Floats fours = add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(fours),
                                     _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(fours), 1)));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
    _mm_storeu_ps(y, first ? sums : _mm_add_ps(_mm_loadu_ps(y), sums));
  }

  static QB_INLINE Words load_words(const unsigned char* x) { return _mm512_loadu_si512(x); }
  /// Loaded once: else gcc reads memory for each use, and few products beside that wait for it.
  static QB_INLINE void keep(Words& a) { __asm__("" : "+v"(a)); }
  static QB_INLINE Words all_words(std::uint32_t x) { return _mm512_set1_epi32(std::int32_t(x)); }
  static QB_INLINE Words either(Words a, Words b) { return _mm512_or_si512(a, b); }
  static QB_INLINE Words both(Words a, Words b) { return _mm512_and_si512(a, b); }
  /// (a and mask) or bits.
  static QB_INLINE Words masked_or(Words a, Words mask, Words bits) {
    return _mm512_ternarylogic_epi32(a, mask, bits, 0xea);
  }
  static QB_INLINE Words right(Words a, int count) { return Words(__v16su(a) >> count); }
  static QB_INLINE Words left(Words a, int count) { return Words(__v16su(a) << count); }
  static QB_INLINE Words right_halves(Words a, int count) {  ///< each 16 bits by themselves
    return Words(__v32hu(a) >> std::uint16_t(count));
  }
  static QB_INLINE Words left_halves(Words a, int count) { return Words(__v32hu(a) << std::uint16_t(count)); }
  static QB_INLINE Words right_signed(Words a, Words counts) { return _mm512_srav_epi32(a, counts); }
  static QB_INLINE Floats as_floats(Words a) { return _mm512_castsi512_ps(a); }

  static QB_INLINE Floats from_f16(const unsigned char* x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  }
  /// To nearest, ties to even; finite values.
  static QB_INLINE Floats round_to_bf16(Floats a) {
    const Words bits = _mm512_castps_si512(a), odd = both(right(bits, 16), all_words(1));
    const Words up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, all_words(0x7fff)));
    return as_floats(both(up, all_words(0xffff0000u)));
  }
  static QB_INLINE Words from_bytes(const unsigned char* x) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }
  static QB_INLINE Floats to_floats(Words a) { return _mm512_cvtepi32_ps(a); }
  /// 2^(e - 127) for e in [0, 254].
  static QB_INLINE Floats power(Words e) {
    const Words bits = _mm512_slli_epi32(e, 23);  // 2^-127 is subnormal: its mantissa's high bit
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(bits, _mm512_testn_epi32_mask(e, e), _mm512_set1_epi32(1 << 22)));
  }

  /// Tables of 16 floats in registers, indexed by the low four bits of each lane.
  struct Table16 {
    __m512 levels;
  };
  static QB_INLINE Table16 load_table(const float* x) { return {_mm512_loadu_ps(x)}; }
  static QB_INLINE Floats look_up(const Table16& table, Words index) {
    return _mm512_permutexvar_ps(index, table.levels);
  }
  static QB_INLINE Floats gather(const float* table, Words index) {
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), __mmask16(0xffff), index, table, 4);
  }
  static QB_INLINE Words lane_numbers() {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
};

}  // namespace

}  // namespace qb
