#include "kernels/depthwise_s8_q8/prepare.h"

#include <algorithm>

#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"
#include "kernels/panels.h"

namespace qb {

bool depthwise_s8_q8_accepts(const QuantFormat& format, std::int64_t k) {
  return format.kind == CodeKind::integer && !format.offsets && groups_per_row(format, k) == 1 && k <= kDepthwiseArea;
}

Buffer prepare_depthwise_s8_q8(const PackedMatrix& weights) {
  const std::int64_t parameters = round_up(4 * weights.n, 64);
  DepthwiseS8Q8 at;
  at.scale = 64;
  at.shift = at.scale + parameters;
  at.weight_sum = at.shift + parameters;
  at.codes = at.weight_sum + parameters;
  Buffer bytes(std::size_t(at.codes + weights.n * weights.k));
  *bytes.as<DepthwiseS8Q8>() = at;
  std::byte* base = bytes.data();
  std::vector<std::uint8_t> row(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, row.data());
    const int zero = zero_of(weights, j, 0);
    const auto [least, most] = std::minmax_element(row.begin(), row.end());
    const int origin = *least - zero >= -128 && *most - zero <= 127 ? zero : 128;
    auto* codes = reinterpret_cast<std::int8_t*>(base + at.codes) + j * weights.k;
    std::int32_t sum = 0;
    for (std::int64_t t = 0; t < weights.k; ++t) {
      const int code = row[std::size_t(t)];
      codes[t] = std::int8_t(code - origin);
      sum += code - zero;
    }
    reinterpret_cast<float*>(base + at.scale)[j] = weights.scales[std::size_t(weights.parameter_index(j, 0))];
    reinterpret_cast<std::int32_t*>(base + at.shift)[j] = zero - origin;
    reinterpret_cast<std::int32_t*>(base + at.weight_sum)[j] = sum;
  }
  return bytes;
}

}  // namespace qb
