// The vector of float_planes.h for AVX2.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace qb {

namespace {

struct EightLanes {
  static constexpr std::int64_t kLanes = 8;
  using Type = __m256;
  using Lanes = __m256i;

  static __attribute__((always_inline)) inline __m256i clamped(std::int64_t count) {
    return _mm256_set1_epi32(count >= 8 ? 8 : count <= 0 ? 0 : int(count));
  }
  static __attribute__((always_inline)) inline Lanes lanes(std::int64_t low, std::int64_t high) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(clamped(low), index), _mm256_cmpgt_epi32(clamped(high), index));
  }
  static __attribute__((always_inline)) inline Type load(const float* from, Lanes lanes) {
    return _mm256_maskload_ps(from, lanes);
  }
  static __attribute__((always_inline)) inline void store(float* to, Lanes lanes, Type value) {
    _mm256_maskstore_ps(to, lanes, value);
  }
  static __attribute__((always_inline)) inline Type set(float value) { return _mm256_set1_ps(value); }
  static __attribute__((always_inline)) inline Type fma(Type a, Type b, Type sum) { return _mm256_fmadd_ps(a, b, sum); }
  static __attribute__((always_inline)) inline Type multiply(Type a, Type b) { return _mm256_mul_ps(a, b); }
  static __attribute__((always_inline)) inline Type add(Type a, Type b) { return _mm256_add_ps(a, b); }
  static __attribute__((always_inline)) inline Type even(Type low, Type high) {
    const __m256 mixed = _mm256_shuffle_ps(low, high, 0x88);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
  }
  static __attribute__((always_inline)) inline Type odd(Type low, Type high) {
    const __m256 mixed = _mm256_shuffle_ps(low, high, 0xdd);
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(mixed), 0xd8));
  }
  static __attribute__((always_inline)) inline Type shift_in(Type value, float last) {
    const __m256 rotated = _mm256_permutevar8x32_ps(value, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0));
    return _mm256_blend_ps(rotated, _mm256_set1_ps(last), 0x80);
  }
};

}  // namespace

}  // namespace qb
