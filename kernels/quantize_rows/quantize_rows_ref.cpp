#include <algorithm>
#include <cmath>

#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

void quantize_row_ref(const QuantizeRowArgs& args) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves no bits after the point, for |value| < 2^22
  const auto low = float(args.low - args.zero), high = float(args.high - args.zero);
  for (std::int64_t t = 0; t < args.k; ++t) {
    float value = args.x[t] / args.scale;
    value = value > low ? value : low;  // a NaN becomes low
    value = value < high ? value : high;
    args.codes[t] = std::int8_t(std::int32_t((value + kRound) - kRound) + args.zero);
  }
  for (std::int64_t t = args.k; t < args.padded; ++t) args.codes[t] = std::int8_t(args.zero);
}

void quantize_groups_ref(const QuantizeGroupsArgs& args) {
  for (std::int64_t begin = 0; begin < args.k; begin += args.group) {
    const std::int64_t count = std::min(args.group, args.k - begin);
    float scale = absolute_maximum_ref(args.x + begin, count) / float(args.high);
    if (!(scale > 0.0f && std::isfinite(scale))) scale = 1.0f;
    quantize_row_ref({args.x + begin, args.codes + begin, count, count, scale, 0, -args.high, args.high});
    for (std::int64_t t = begin; t < begin + count; t += args.shared) args.scale[t / args.shared] = scale;
  }
  for (std::int64_t t = args.k; t < args.padded; ++t) args.codes[t] = 0;
}

float absolute_maximum_ref(const float* x, std::int64_t k) {
  float maximum = 0.0f;
  for (std::int64_t t = 0; t < k; ++t) {
    const float value = x[t] < 0.0f ? -x[t] : x[t];
    maximum = value > maximum ? value : maximum;
  }
  return maximum;
}

void sum_groups_ref(const SumGroupsArgs& args) {
  std::int32_t* sums = args.sums;
  for (std::int64_t begin = 0; begin < args.k; begin += args.group, ++sums) {
    const std::int64_t end = begin + args.group < args.k ? begin + args.group : args.k;
    std::int32_t sum = 0;
    for (std::int64_t t = begin; t < end; ++t) sum += args.codes[t];
    *sums = sum - std::int32_t(end - begin) * args.zero;
  }
}

}  // namespace qb
