// Rows of float32 activations become int8 codes: part of every timed product with int8 activations.
//
// Source: the rule is ONNX QuantizeLinear (round to nearest even, then the zero point, then saturate).
#pragma once
#include <cstdint>

namespace qb {

/// One row to quantize. Data only: this header is compiled under every instruction-set flag.
struct QuantizeRowArgs {
  const float* x;      ///< [k]
  std::int8_t* codes;  ///< [padded]; [k, padded) are filled with zero's code
  std::int64_t k, padded;
  float scale;             ///< > 0, finite
  std::int32_t zero;       ///< code of real zero, in [low, high]
  std::int32_t low, high;  ///< range of the codes, within [-128, 127]
};
using QuantizeRowFn = void (*)(const QuantizeRowArgs&);
using AbsoluteMaximumFn = float (*)(const float* x, std::int64_t k);

/// code[t] = clip(round(x[t] / scale) + zero, low, high), rounding to nearest even.
///
/// Numbers    the quotient is rounded to float32 first, as ONNX does; values that are not finite give some code in
/// range.
///            All variants agree bit for bit.
/// Threads    reentrant.
void quantize_row_ref(const QuantizeRowArgs& args);
void quantize_row_avx2(const QuantizeRowArgs& args);
void quantize_row_avx512(const QuantizeRowArgs& args);
void quantize_row_neon(const QuantizeRowArgs& args);

/// One row to quantize in groups of columns, each by its own absolute maximum; the last group may be shorter.
struct QuantizeGroupsArgs {
  const float* x;      ///< [k]
  std::int8_t* codes;  ///< [padded], padded a multiple of 64; [k, padded) are filled with 0
  std::int64_t k, padded;
  std::int64_t group;   ///< columns that share a scale: a multiple of 32
  std::int32_t high;    ///< the largest code, 1 to 127; the least is -high
  std::int64_t shared;  ///< columns per scale that is written; divides group
  float* scale;         ///< [ceil(k / shared)]
};
using QuantizeGroupsFn = void (*)(const QuantizeGroupsArgs&);

/// A group's scale is its absolute maximum / high, or 1 where that is 0 or not finite, and its codes are those of
/// quantize_row with this scale and zero 0. All variants agree bit for bit where no value is NaN.
void quantize_groups_ref(const QuantizeGroupsArgs& args);
void quantize_groups_avx2(const QuantizeGroupsArgs& args);
void quantize_groups_avx512(const QuantizeGroupsArgs& args);
void quantize_groups_neon(const QuantizeGroupsArgs& args);

/// max over t of |x[t]|, 0 for k = 0; where a value is NaN, NaN or the maximum of the others.
float absolute_maximum_ref(const float* x, std::int64_t k);
float absolute_maximum_avx2(const float* x, std::int64_t k);
float absolute_maximum_avx512(const float* x, std::int64_t k);
float absolute_maximum_neon(const float* x, std::int64_t k);

/// Codes of one row whose groups are summed; the last group may be shorter.
struct SumGroupsArgs {
  const std::int8_t* codes;  ///< [k]
  std::int64_t k, group;
  std::int32_t zero;
  std::int32_t* sums;  ///< [ceil(k / group)]
};
using SumGroupsFn = void (*)(const SumGroupsArgs&);

/// sums[g] = sum over the codes of group g of (code - zero), exact.
void sum_groups_ref(const SumGroupsArgs& args);
void sum_groups_avx2(const SumGroupsArgs& args);
void sum_groups_avx512(const SumGroupsArgs& args);
void sum_groups_neon(const SumGroupsArgs& args);

}  // namespace qb
