#include "kernels/peers/integer_columns.h"

#include <cstring>
#include <functional>
#include <vector>

#include "kernels/base/parallel.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/panels.h"

namespace qb {

namespace {

struct Columns {
  const float* scale;
  const std::int32_t* above_middle;  ///< zero - middle
  const std::int32_t* sum;           ///< sum over t of (code - middle)
};

std::int64_t columns_bytes(std::int64_t n) { return round_up(12 * n, 64); }

Columns columns_at(const void* bytes, std::int64_t n) {
  const auto* integers = static_cast<const std::int32_t*>(bytes);
  return {static_cast<const float*>(bytes), integers + n, integers + 2 * n};
}

/// With a = a0 + da and code = zero + dw the wanted sum of da * dw is
///   sum (a + shift) * (code - middle) - (shift + a0) * sum (code - middle) - (zero - middle) * sum da.
void scale_row(const GemmArgs& args, const Columns& columns, std::int32_t shift, std::int64_t i,
               const float* products) {
  const std::uint32_t of_weights = std::uint32_t(shift + args.a_zero[i]), of_a = std::uint32_t(args.a_group_sum[i]);
  const float a_scale = args.a_scale[i];
  float* y = args.y + i * args.y_stride;
  for (std::int64_t j = 0; j < args.n; ++j) {
    std::uint32_t sum;
    std::memcpy(&sum, products + j, sizeof sum);
    sum -= of_weights * std::uint32_t(columns.sum[j]) + of_a * std::uint32_t(columns.above_middle[j]);
    y[j] = float(std::int32_t(sum)) * (a_scale * columns.scale[j]);
  }
}

}  // namespace

Buffer integer_columns(OnednnTypes types, const PackedMatrix& weights) {
  require_exact_depth(weights);
  const std::int64_t n = weights.n, k = weights.k;
  const std::int32_t middle = 1 << (weights.format.bits - 1);
  std::vector<std::uint8_t> row(std::size_t(k), 0);
  std::vector<std::int8_t> codes(std::size_t(n * k), 0);
  std::vector<std::int32_t> sums(std::size_t(n), 0);
  for (std::int64_t j = 0; j < n; ++j) {
    unpack_row(weights, j, row.data());
    for (std::int64_t t = 0; t < k; ++t) {
      const std::int32_t code = row[std::size_t(t)] - middle;
      codes[std::size_t(j * k + t)] = std::int8_t(code);
      sums[std::size_t(j)] += code;
    }
  }
  Buffer bytes = onednn_weights(types, n, k, codes.data(), columns_bytes(n));
  for (std::int64_t j = 0; j < n; ++j) {
    bytes.as<float>()[j] = weights.scales[std::size_t(weights.parameter_index(j, 0))];
    bytes.as<std::int32_t>()[n + j] = zero_of(weights, j, 0) - middle;
    bytes.as<std::int32_t>()[2 * n + j] = sums[std::size_t(j)];
  }
  return bytes;
}

const void* library_weights(const GemmArgs& args) {
  return static_cast<const std::byte*>(args.w) + columns_bytes(args.n);
}

void scale_products(const GemmArgs& args, std::int32_t shift, const float* products) {
  const Columns columns = columns_at(args.w, args.n);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) scale_row(args, columns, shift, i, products + i * args.n);
  };
  parallel_for(args.m, args.threads, 1, std::cref(part));
}

}  // namespace qb
