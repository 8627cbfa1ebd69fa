#include <immintrin.h>

#include <cfloat>

#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

namespace {

inline __m512 load_below(const float* x, std::int64_t t, std::int64_t k) {
  const std::int64_t rest = k - t;
  const __mmask16 mask = rest >= 16 ? __mmask16(0xffff) : rest <= 0 ? __mmask16(0) : __mmask16((1u << rest) - 1u);
  return _mm512_maskz_loadu_ps(mask, x + t);
}

inline __m512i rounded(__m512 value, __m512 low, __m512 high) {
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(value, low), high));  // a NaN becomes low
}

inline void store_codes(std::int8_t* codes, __m512i code) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtepi32_epi8(code));
}

}  // namespace

void quantize_row_avx512(const QuantizeRowArgs& args) {
  const __m512 scale = _mm512_set1_ps(args.scale);
  const __m512 low = _mm512_set1_ps(float(args.low - args.zero)), high = _mm512_set1_ps(float(args.high - args.zero));
  const __m512i zero = _mm512_set1_epi32(args.zero);
  for (std::int64_t t = 0; t < args.padded; t += 16) {
    const __m512 value = _mm512_div_ps(load_below(args.x, t, args.k), scale);
    store_codes(args.codes + t, _mm512_add_epi32(rounded(value, low, high), zero));
  }
}

void quantize_groups_avx512(const QuantizeGroupsArgs& args) {
  const __m512 low = _mm512_set1_ps(float(-args.high)), high = _mm512_set1_ps(float(args.high));
  for (std::int64_t begin = 0; begin < args.padded; begin += args.group) {
    const std::int64_t end = begin + args.group < args.padded ? begin + args.group : args.padded;
    __m512 maximum = _mm512_setzero_ps();
    for (std::int64_t t = begin; t < end; t += 16)
      maximum = _mm512_max_ps(_mm512_abs_ps(load_below(args.x, t, args.k)), maximum);
    float scale = _mm512_reduce_max_ps(maximum) / float(args.high);
    if (!(scale > 0.0f && scale <= FLT_MAX)) scale = 1.0f;
    const __m512 divisor = _mm512_set1_ps(scale);
    for (std::int64_t t = begin; t < end; t += 16)
      store_codes(args.codes + t, rounded(_mm512_div_ps(load_below(args.x, t, args.k), divisor), low, high));
    for (std::int64_t t = begin; t < end && t < args.k; t += args.shared) args.scale[t / args.shared] = scale;
  }
}

/// Four maxima: one would wait for itself.
float absolute_maximum_avx512(const float* x, std::int64_t k) {
  __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
  const auto join = [&](__m512 maximum, std::int64_t t) {
    return _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + t)), maximum);
  };
  std::int64_t t = 0;
  for (; t + 64 <= k; t += 64) {
    a = join(a, t);
    b = join(b, t + 16);
    c = join(c, t + 32);
    d = join(d, t + 48);
  }
  for (; t < k; t += 16) {
    const std::int64_t rest = k - t;
    const __mmask16 mask = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
    a = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x + t)), a);
  }
  return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d)));
}

namespace {

/// Sums of eight bytes each, of codes that enter as code + 128.
inline __m512i sums_of_eight(__m512i codes) {
  return _mm512_sad_epu8(_mm512_xor_si512(codes, _mm512_set1_epi8(-128)), _mm512_setzero_si512());
}

}  // namespace

void sum_groups_avx512(const SumGroupsArgs& args) {
  std::int32_t* sums = args.sums;
  for (std::int64_t begin = 0; begin < args.k; begin += args.group, ++sums) {
    const std::int64_t end = begin + args.group < args.k ? begin + args.group : args.k;
    __m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
    std::int64_t t = begin;
    for (; t + 128 <= end; t += 128) {
      even = _mm512_add_epi64(even, sums_of_eight(_mm512_loadu_si512(args.codes + t)));
      odd = _mm512_add_epi64(odd, sums_of_eight(_mm512_loadu_si512(args.codes + t + 64)));
    }
    for (; t < end; t += 64) {
      const __mmask64 mask = end - t >= 64 ? ~__mmask64(0) : (__mmask64(1) << (end - t)) - 1;
      const __m512i codes = _mm512_mask_loadu_epi8(_mm512_set1_epi8(-128), mask, args.codes + t);
      even = _mm512_add_epi64(even, sums_of_eight(codes));
    }
    const auto sum = std::int32_t(_mm512_reduce_add_epi64(_mm512_add_epi64(even, odd)));
    *sums = sum - std::int32_t(end - begin) * (args.zero + 128);
  }
}

}  // namespace qb
