// What the AVX-512 loops of gemm_s8_int read besides codes: a block of rows and its place in a panel's stream, the
// parameters of groups, and how they finish a group. Included under several instruction-set flags: everything is
// anonymous.
#pragma once
#include "kernels/gemm_s8_int/codes_avx512.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 32, kChunk = 32;
#define QB_UNROLL _Pragma("GCC unroll 8")  // before registers are assigned: an array that is indexed stays in memory

// Bytes of the stream that are fetched ahead for a block of rows. One row has so little to do per line that the
// processor runs far ahead itself: on Zen 4 every fetch, near or far, costs it up to half its speed.
constexpr std::int64_t kAhead = 2560;
constexpr int kBlock = 64;  // rows whose sums wait together: 16 KiB

/// Of a section with scale steps: 16 groups of a scale, an offset and a zero, and the float16 of scales and offsets.
constexpr std::int64_t kSectionLines = kPanel * (16 * 3 + 4) / 64;

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then moves sums to the stack.
QB_INLINE void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

QB_INLINE __m512i broadcast_four(const std::int8_t* bytes) {
  std::int32_t four;
  __builtin_memcpy(&four, bytes, 4);
  return _mm512_set1_epi32(four);
}

/// What turns sums of a * level into the sums of the definition.
enum class Finish {
  middle,   ///< the same zero for all weights, a power of two; no zero of
            ///< activations
  zeros,    ///< a zero for each column and group, or any zero of activations
  offsets,  ///< no zeros of weights, any zero of activations
};

/// Scales and so on of one group.
template <int kVectors>
struct Parameters {
  __m512 scale[kVectors];
  __m512 offset[kVectors];  ///< Finish::offsets
  __m512i zero[kVectors];   ///< Finish::zeros
  __m512i fixed[kVectors];  ///< -a_zero * sum of the levels; not Finish::middle
  std::int32_t middle_shift;
  const std::int32_t* a_sum;  ///< of the block's first row over the group; the next row's is S8Int::groups behind
  const float* a_scale;       ///< likewise where rows have a scale per group, else null
  bool adds_exponents;        ///< as Block's
};

/// A block of rows with one zero against one panel.
template <int kVectors>
struct Block {
  const GemmArgs* args;
  const S8Int* at;
  const std::int8_t* a;  ///< the block's first row
  std::int64_t first_row, rows;
  const std::uint8_t* stream;  ///< where the panel is read next
  const std::uint8_t* record;  ///< parameters of the group that is read next
  std::int64_t record_bytes;   ///< of one group
  const std::int32_t* a_sum;   ///< of the first row over each group
  const float* a_scale;        ///< of the first row in each group; null where rows have one scale
  bool adds_exponents;         ///< scales are multiplied by adding exponents: see exponents_add()
  __m512 scale_super[kVectors], offset_super[kVectors];
  alignas(64) std::uint8_t section[kSectionLines][64];  ///< a copy, with scale steps
  __m512i level_sum[kVectors];                          ///< of the group at hand; where the rows' zero
                                                        ///< is not 0
  alignas(64) float sum[kBlock][kVectors][16];          ///< of the groups that are done
  alignas(64) std::int32_t part[kBlock][kVectors][16];  ///< of the chunks of the group at hand

  /// Fetches lines of the stream, `ahead` bytes behind the next.
  QB_INLINE void fetch(std::int64_t lines, std::int64_t ahead) const {
    for (std::int64_t line = 0; line < lines; ++line)
      _mm_prefetch(reinterpret_cast<const char*>(stream + ahead + 64 * line), _MM_HINT_T0);
  }
  QB_INLINE std::int32_t a_zero() const { return args->a_zero[first_row]; }
};

/// How a chunk lies to the groups.
struct Borders {
  bool first;   ///< a group begins with the chunk
  bool middle;  ///< one ends after 16 weights, and another begins
  bool last;    ///< one ends with the chunk, or with the row
};

/// Where the groups lie, chunk by chunk.
struct GroupWalk {
  std::int64_t size, k;
  std::int64_t group = 0, begin = 0, end = size < k ? size : k;

  /// Of the chunk at t; `group` becomes the one that goes on behind its middle.
  QB_INLINE Borders at(std::int64_t t) {
    Borders borders{t == begin, end == t + kChunk / 2 && end < k, false};
    if (borders.middle) next();
    borders.last = end <= t + kChunk;
    return borders;
  }
  QB_INLINE void next() {
    ++group;
    begin = end;
    end = end + size < k ? end + size : k;
  }
};

QB_INLINE __m512i bytes_to_int32(const std::uint8_t* bytes) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}
QB_INLINE __m512 halves_to_float(const std::uint8_t* bytes) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
}

/// Scales or offsets of kVectors times 16 columns.
template <int kVectors>
QB_INLINE void read_values(const S8Int& at, const std::uint8_t* bytes, std::int32_t lowest_step, const __m512* super,
                           __m512* values) {
  switch (at.form) {
    case S8IntScale::f32:
      for (int v = 0; v < kVectors; ++v) values[v] = _mm512_loadu_ps(bytes + 64 * v);
      break;
    case S8IntScale::f16:
      for (int v = 0; v < kVectors; ++v) values[v] = halves_to_float(bytes + 32 * v);
      break;
    case S8IntScale::power:
      for (int v = 0; v < kVectors; ++v)
        values[v] = _mm512_castsi512_ps(_mm512_slli_epi32(bytes_to_int32(bytes + 16 * v), 23));
      break;
    case S8IntScale::e4m3:
      for (int v = 0; v < kVectors; ++v) {
        // Shifted into the fields of a float16, an E4M3 number is worth 2^-8 of itself.
        const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * v)));
        const __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(short(0xbfff)));
        values[v] = _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(at.e4m3_unit * 256.0f));
      }
      break;
    case S8IntScale::steps:
      for (int v = 0; v < kVectors; ++v) {
        const __m512i step = _mm512_add_epi32(bytes_to_int32(bytes + 16 * v), _mm512_set1_epi32(lowest_step));
        values[v] = _mm512_mul_ps(_mm512_cvtepi32_ps(step), super[v]);
      }
      break;
  }
}

/// Reads what stands at the head of a span.
template <int kVectors>
QB_INLINE void open_section(Block<kVectors>& block) {
  const S8Int& at = *block.at;
  constexpr std::int64_t kWidth = 16 * kVectors;
  const std::int64_t lines = (kWidth * at.super_bytes + at.groups_per_span * block.record_bytes + 63) / 64;
  for (int v = 0; v < kVectors; ++v) {
    if (at.super_bytes) block.scale_super[v] = halves_to_float(block.stream + 32 * v);
    if (at.super_bytes > 2) block.offset_super[v] = halves_to_float(block.stream + 2 * kWidth + 32 * v);
  }
  block.record = block.stream + kWidth * at.super_bytes;
  if (at.super_bytes) {  // a long section, read little by little: touched here so that the stream rises
    for (std::int64_t line = 0; line < lines; ++line)
      _mm512_store_si512(block.section[line], _mm512_load_si512(block.stream + 64 * line));
    block.record = block.section[0] + kWidth * at.super_bytes;
  }
  if (block.rows > 1) block.fetch(lines, kAhead);
  block.stream += 64 * lines;
}

/// Reads the parameters of a group; `fixed` as for rows whose zero is 0.
template <Finish kFinish, int kVectors>
QB_INLINE void read_parameters(Block<kVectors>& block, std::int64_t group, Parameters<kVectors>& with) {
  const S8Int& at = *block.at;
  with.a_sum = block.a_sum + group;
  with.a_scale = block.a_scale ? block.a_scale + group : nullptr;
  with.adds_exponents = block.adds_exponents;
  with.middle_shift = std::int32_t(at.middle_shift);
  const std::uint8_t* record = block.record;
  read_values<kVectors>(at, record, at.lowest_step, block.scale_super, with.scale);
  record += 16 * kVectors * at.scale_bytes;
  if constexpr (kFinish == Finish::offsets)
    read_values<kVectors>(at, record, at.lowest_offset_step, block.offset_super, with.offset);
  record += 16 * kVectors * at.offset_bytes;
  if constexpr (kFinish == Finish::zeros)
    for (int v = 0; v < kVectors; ++v)
      with.zero[v] = at.zero_bytes ? bytes_to_int32(record + 16 * v) : _mm512_set1_epi32(1 << at.middle_shift);
  block.record += block.record_bytes;
  if constexpr (kFinish != Finish::middle)
    for (int v = 0; v < kVectors; ++v) with.fixed[v] = _mm512_setzero_si512();
}

/// Sets what the rows' zero adds, given the sums of the group's levels.
template <int kVectors>
QB_INLINE void set_fixed(const Block<kVectors>& block, const __m512i* level_sum, Parameters<kVectors>& with) {
  for (int v = 0; v < kVectors; ++v)
    with.fixed[v] = _mm512_mullo_epi32(_mm512_set1_epi32(-block.a_zero()), level_sum[v]);
}

/// What a row's sums of a * level must be less by than the definition's; a_sum is the row's over the group.
template <Finish kFinish, int kVectors>
QB_INLINE void start_group(const Parameters<kVectors>& with, std::int32_t a_sum, __m512i* dots) {
  if constexpr (kFinish == Finish::middle) {
    const auto shifted = std::int32_t(0u - (std::uint32_t(a_sum) << with.middle_shift));
    for (int v = 0; v < kVectors; ++v) dots[v] = _mm512_set1_epi32(shifted);
  } else if constexpr (kFinish == Finish::zeros) {
    for (int v = 0; v < kVectors; ++v)
      dots[v] = _mm512_sub_epi32(with.fixed[v], _mm512_mullo_epi32(_mm512_set1_epi32(a_sum), with.zero[v]));
  } else {
    for (int v = 0; v < kVectors; ++v) dots[v] = with.fixed[v];
  }
}

/// Whether each scale of a row times each of a column is the power of the latter added to the exponent of the former:
/// exact, and beside the units that multiply. Scales of rows are above 0 and finite.
QB_INLINE bool exponents_add(const GemmArgs& args, const S8Int& at) {
  if (args.a_scales == 1 || at.form != S8IntScale::power || at.offset_bytes) return false;
  float lowest = args.a_scale[0], highest = lowest;
  for (std::int64_t i = 1; i < args.m * args.a_scales; ++i) {
    lowest = args.a_scale[i] < lowest ? args.a_scale[i] : lowest;
    highest = args.a_scale[i] > highest ? args.a_scale[i] : highest;
  }
  std::uint32_t low, high;
  __builtin_memcpy(&low, &lowest, 4);
  __builtin_memcpy(&high, &highest, 4);
  constexpr int kBias = 127;
  const int low_field = int(low >> 23), high_field = int(high >> 23);
  return low_field > 0 && low_field + at.lowest_power > kBias && high_field + at.highest_power < kBias + 255;
}

/// The product of a power of two and a number, all of them normal.
QB_INLINE __m512 times_power(__m512 power, __m512 number) {
  const __m512i less_bias = _mm512_sub_epi32(_mm512_castps_si512(power), _mm512_set1_epi32(127 << 23));
  return _mm512_castsi512_ps(_mm512_add_epi32(less_bias, _mm512_castps_si512(number)));
}

/// kGrouped: rows have a scale per group. Exact sums of the row that stands `at` values behind the first become float32
/// and join the sums of the groups before.
template <Finish kFinish, bool kGrouped, int kVectors>
QB_INLINE void finish_group(const Parameters<kVectors>& with, std::int64_t at, const __m512i* exact, __m512* sum) {
  __m512 scale[kVectors], offset[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    scale[v] = with.scale[v];
    if constexpr (kFinish == Finish::offsets) offset[v] = with.offset[v];
  }
  if constexpr (kGrouped) {
    const __m512 step = _mm512_set1_ps(with.a_scale[at]);
    if (with.adds_exponents) {
      for (int v = 0; v < kVectors; ++v) scale[v] = times_power(scale[v], step);
    } else {
      for (int v = 0; v < kVectors; ++v) {
        scale[v] = _mm512_mul_ps(scale[v], step);
        if constexpr (kFinish == Finish::offsets) offset[v] = _mm512_mul_ps(offset[v], step);
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    sum[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[v]), scale[v], sum[v]);
    if constexpr (kFinish == Finish::offsets)
      sum[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_set1_epi32(with.a_sum[at])), offset[v], sum[v]);
  }
}

/// Columns from `column` on of row i, times the row's scale where it has one.
template <int kVectors>
QB_INLINE void store_row(const GemmArgs& args, std::int64_t i, std::int64_t column, const __m512* sum) {
  const std::int64_t rest = args.n_end - column - 16 * (kVectors - 1);
  const __mmask16 last = rest >= 16 ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
  float* y = args.y + i * args.y_stride + column;
  const __m512 scale = _mm512_set1_ps(args.a_scales > 1 ? 1.0f : args.a_scale[i]);
  for (int v = 0; v < kVectors; ++v)
    _mm512_mask_storeu_ps(y + 16 * v, v + 1 < kVectors ? __mmask16(0xffff) : last, _mm512_mul_ps(scale, sum[v]));
}

}  // namespace

}  // namespace qb
