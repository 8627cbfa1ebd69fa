#include "kernels/gemm_s8_q8/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/gemm_s8_q8/gemm_s8_q8.h"

namespace qb {

namespace {

/// Panels of bytes code - middle, k padded with 0 to `depth`; zeros and sums of codes are moved by the middle too.
Buffer widen_into_panels(const PackedMatrix& weights, const PanelShape& shape, std::int64_t depth, int middle) {
  require_exact_depth(weights);
  const std::int64_t parameters = round_up(4 * round_up(weights.n, shape.vector), 64);
  S8Q8 at;
  at.scale = 64;
  at.zero = at.scale + parameters;
  at.code_sum = at.zero + parameters;
  at.codes = at.code_sum + parameters;
  Buffer bytes(std::size_t(at.codes + panel_elements(shape, weights.n, depth)));
  *bytes.as<S8Q8>() = at;
  std::byte* base = bytes.data();
  std::vector<std::uint8_t> row(std::size_t(depth), 0);
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, row.data());
    const auto end = row.begin() + weights.k;
    const std::int32_t code_sum = std::accumulate(row.begin(), end, std::int32_t{0});
    std::transform(row.begin(), end, row.begin(), [&](int code) { return std::uint8_t(code - middle); });
    reinterpret_cast<float*>(base + at.scale)[j] = weights.scales[std::size_t(weights.parameter_index(j, 0))];
    reinterpret_cast<std::int32_t*>(base + at.zero)[j] = zero_of(weights, j, 0) - middle;
    reinterpret_cast<std::int32_t*>(base + at.code_sum)[j] = code_sum - std::int32_t(weights.k) * middle;
    fill_panel_column(shape, weights.n, depth, j, row.data(), reinterpret_cast<std::uint8_t*>(base + at.codes));
  }
  return bytes;
}

}  // namespace

std::int64_t exact_int32_depth(const QuantFormat& format) {
  constexpr std::int64_t kActivation = 255;  // |code - zero| of an asymmetric int8 activation
  const std::int64_t weight = format.zeros ? (1 << format.bits) - 1 : 1 << (format.bits - 1);
  return std::numeric_limits<std::int32_t>::max() / (kActivation * weight);
}

void require_exact_depth(const PackedMatrix& weights) {
  if (weights.k > exact_int32_depth(weights.format))
    throw Unsupported(fmt::format("weights of format {} with k = {}: a sum could leave int32; k up to {} is exact",
                                  to_text(weights.format), weights.k, exact_int32_depth(weights.format)));
}

bool gemm_s8_q8_accepts(const QuantFormat& format, std::int64_t) {
  return format.kind == CodeKind::integer && format.sharing != Sharing::group && !format.offsets;
}

Buffer prepare_s8_q8_unsigned(const PackedMatrix& weights, const PanelShape& shape) {
  return widen_into_panels(weights, shape, weights.k, 0);
}

/// ARM multiplies signed bytes with signed bytes, and reads 16 activations at a time.
Buffer prepare_s8_q8_signed(const PackedMatrix& weights, std::int64_t quad) {
  return widen_into_panels(weights, {16, 8, quad}, round_up(weights.k, 16), 1 << (weights.format.bits - 1));
}

Buffer prepare_s8_q8_ref(const PackedMatrix& weights) { return prepare_s8_q8_unsigned(weights, {1, 1, 1}); }

}  // namespace qb
