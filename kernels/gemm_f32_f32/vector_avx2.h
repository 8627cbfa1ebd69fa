// 8 columns as one AVX2 register: what the loops and decoders that are written once need of an instruction set.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <immintrin.h>

#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

struct Avx2 {
  static constexpr int kLanes = 8;
  static constexpr int kTileVectors = 2;  ///< tiles of 6 rows and this many vectors fit the registers
  using Floats = __m256;
  using Words = __m256i;  ///< 32 bits per lane

  static QB_INLINE Floats zero() { return _mm256_setzero_ps(); }
  static QB_INLINE Floats all(float x) { return _mm256_set1_ps(x); }
  static QB_INLINE Floats load(const float* x) { return _mm256_loadu_ps(x); }
  static QB_INLINE void store(float* x, Floats values) { _mm256_storeu_ps(x, values); }
  static QB_INLINE __m256i mask_of(std::int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count > 8 ? 8 : int(count)), lane_numbers());
  }
  /// The first `count` lanes; more than there are mean all.
  static QB_INLINE Floats load_first(const float* x, std::int64_t count) {
    return _mm256_maskload_ps(x, mask_of(count));
  }
  static QB_INLINE void store_first(float* x, Floats values, std::int64_t count) {
    _mm256_maskstore_ps(x, mask_of(count), values);
  }
  static QB_INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static QB_INLINE Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static QB_INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static QB_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

  /// Four results, each the sum of one vector's lanes in a fixed order, begin a row or join it.
  static QB_INLINE void add_sums(float* y, bool first, Floats a, Floats b, Floats c, Floats d) {
    const Floats ab = add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const Floats cd = add(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const Floats fours = add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    const __m128 sums = _mm_add_ps(_mm256_castps256_ps128(fours), _mm256_extractf128_ps(fours, 1));
    _mm_storeu_ps(y, first ? sums : _mm_add_ps(_mm_loadu_ps(y), sums));
  }

  static QB_INLINE Words load_words(const unsigned char* x) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  }
  static QB_INLINE Words all_words(std::uint32_t x) { return _mm256_set1_epi32(std::int32_t(x)); }
  static QB_INLINE Words either(Words a, Words b) { return _mm256_or_si256(a, b); }
  static QB_INLINE Words both(Words a, Words b) { return _mm256_and_si256(a, b); }
  /// (a and mask) or bits.
  static QB_INLINE Words masked_or(Words a, Words mask, Words bits) {
    return _mm256_or_si256(_mm256_and_si256(a, mask), bits);
  }
  static QB_INLINE Words right(Words a, int count) { return Words(__v8su(a) >> count); }
  static QB_INLINE Words left(Words a, int count) { return Words(__v8su(a) << count); }
  static QB_INLINE Words right_halves(Words a, int count) {  ///< each 16 bits by themselves
    return Words(__v16hu(a) >> std::uint16_t(count));
  }
  static QB_INLINE Words left_halves(Words a, int count) { return Words(__v16hu(a) << std::uint16_t(count)); }
  static QB_INLINE Words right_signed(Words a, Words counts) { return _mm256_srav_epi32(a, counts); }
  static QB_INLINE Floats as_floats(Words a) { return _mm256_castsi256_ps(a); }

  static QB_INLINE Floats from_f16(const unsigned char* x) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }
  /// To nearest, ties to even; finite values.
  static QB_INLINE Floats round_to_bf16(Floats a) {
    const Words bits = _mm256_castps_si256(a), odd = both(right(bits, 16), all_words(1));
    const Words up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, all_words(0x7fff)));
    return as_floats(both(up, all_words(0xffff0000u)));
  }
  static QB_INLINE Words from_bytes(const unsigned char* x) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x)));
  }
  static QB_INLINE Floats to_floats(Words a) { return _mm256_cvtepi32_ps(a); }
  /// 2^(e - 127) for e in [0, 254].
  static QB_INLINE Floats power(Words e) {
    const Words lowest = _mm256_cmpeq_epi32(e, _mm256_setzero_si256());  // 2^-127 is subnormal: its mantissa's high bit
    return _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_slli_epi32(e, 23), _mm256_and_si256(lowest, _mm256_set1_epi32(1 << 22))));
  }

  /// Tables of 16 floats in registers, indexed by the low four bits of each lane.
  struct Table16 {
    __m256 low, high;
  };
  static QB_INLINE Table16 load_table(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
  static QB_INLINE Floats look_up(const Table16& table, Words index) {
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.low, index), _mm256_permutevar8x32_ps(table.high, index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
  static QB_INLINE Floats gather(const float* table, Words index) {
    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), table, index, _mm256_castsi256_ps(_mm256_set1_epi32(-1)), 4);
  }
  static QB_INLINE Words lane_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
};

}  // namespace

}  // namespace qb
