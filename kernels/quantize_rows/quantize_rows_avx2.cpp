#include <immintrin.h>

#include <cfloat>

#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

namespace {

/// Lanes 0 .. rest - 1.
inline __m256i lanes_below(std::int64_t rest) {
  const int count = rest >= 8 ? 8 : rest <= 0 ? 0 : int(rest);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256i rounded(__m256 value, __m256 low, __m256 high) {
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(value, low), high));  // a NaN becomes low
}

inline void store_codes(std::int8_t* codes, __m256i code) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(codes), _mm_packs_epi16(words, words));
}

}  // namespace

void quantize_groups_avx2(const QuantizeGroupsArgs& args) {
  const __m256 low = _mm256_set1_ps(float(-args.high)), high = _mm256_set1_ps(float(args.high));
  for (std::int64_t begin = 0; begin < args.padded; begin += args.group) {
    const std::int64_t end = begin + args.group < args.padded ? begin + args.group : args.padded;
    const std::int64_t known = end < args.k ? end : args.k;
    float scale = begin < known ? absolute_maximum_avx2(args.x + begin, known - begin) / float(args.high) : 0.0f;
    if (!(scale > 0.0f && scale <= FLT_MAX)) scale = 1.0f;
    for (std::int64_t t = begin; t < end; t += 8) {
      const __m256 value = _mm256_maskload_ps(args.x + t, lanes_below(args.k - t));
      store_codes(args.codes + t, rounded(_mm256_div_ps(value, _mm256_set1_ps(scale)), low, high));
    }
    for (std::int64_t t = begin; t < known; t += args.shared) args.scale[t / args.shared] = scale;
  }
}

void quantize_row_avx2(const QuantizeRowArgs& args) {
  const __m256 scale = _mm256_set1_ps(args.scale);
  const __m256 low = _mm256_set1_ps(float(args.low - args.zero)), high = _mm256_set1_ps(float(args.high - args.zero));
  const __m256i zero = _mm256_set1_epi32(args.zero);
  for (std::int64_t t = 0; t < args.padded; t += 8) {
    const __m256 value = _mm256_div_ps(_mm256_maskload_ps(args.x + t, lanes_below(args.k - t)), scale);
    store_codes(args.codes + t, _mm256_add_epi32(rounded(value, low, high), zero));
  }
}

float absolute_maximum_avx2(const float* x, std::int64_t k) {
  const __m256 without_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 maximum = _mm256_setzero_ps();
  for (std::int64_t t = 0; t < k; t += 8) {
    const __m256 value = _mm256_maskload_ps(x + t, lanes_below(k - t));
    maximum = _mm256_max_ps(_mm256_and_ps(value, without_sign), maximum);
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, maximum);
  float largest = 0.0f;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

/// Codes enter as code + 128, which vpsadbw adds as unsigned bytes.
void sum_groups_avx2(const SumGroupsArgs& args) {
  const __m256i offset = _mm256_set1_epi8(-128);
  std::int32_t* sums = args.sums;
  for (std::int64_t begin = 0; begin < args.k; begin += args.group, ++sums) {
    const std::int64_t end = begin + args.group < args.k ? begin + args.group : args.k;
    __m256i sum = _mm256_setzero_si256();
    std::int64_t t = begin;
    for (; t + 32 <= end; t += 32) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(args.codes + t));
      sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_xor_si256(codes, offset), _mm256_setzero_si256()));
    }
    alignas(32) std::int64_t lanes[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
    std::int32_t rest = std::int32_t(lanes[0] + lanes[1] + lanes[2] + lanes[3]) - std::int32_t(t - begin) * 128;
    for (; t < end; ++t) rest += args.codes[t];
    *sums = rest - std::int32_t(end - begin) * args.zero;
  }
}

}  // namespace qb
