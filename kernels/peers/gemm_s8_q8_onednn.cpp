#include <cstring>

#include "kernels/base/parallel.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/panels.h"
#include "kernels/peers/dense_rows.h"
#include "kernels/peers/onednn_matmul.h"
#include "kernels/peers/peers.h"

namespace qb {

namespace {

constexpr std::int32_t kShift = 128;  // from int8 activations to uint8

/// Behind each other from the start of the prepared bytes, [n] each; then what onednn_weights() makes of
/// code - middle, where middle = 2^(bits-1).
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

/// The rows of int8 codes as dense rows of code + 128.
const std::uint8_t* shifted_rows(const GemmArgs& args, std::vector<std::uint8_t>& room) {
  room.resize(std::size_t(args.m * args.k));
  parallel_for(args.m, args.threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto* from = static_cast<const std::uint8_t*>(args.a) + i * args.a_stride;
      std::uint8_t* to = room.data() + i * args.k;
      for (std::int64_t t = 0; t < args.k; ++t) to[t] = from[t] ^ 0x80u;
    }
  });
  return room.data();
}

/// Makes row i of y of the sums of (a + 128) * (code - middle), which may lie in the same place. With a = a0 + da and
/// code = zero + dw the wanted sum of da * dw is
///   sum (a + 128) * (code - middle) - (128 + a0) * sum (code - middle) - (zero - middle) * sum da.
void finish_row(const GemmArgs& args, const Columns& columns, std::int64_t i, const float* sums) {
  const std::uint32_t of_weights = std::uint32_t(kShift + args.a_zero[i]), of_a = std::uint32_t(args.a_group_sum[i]);
  const float a_scale = args.a_scale[i];
  float* y = args.y + i * args.y_stride;
  for (std::int64_t j = 0; j < args.n; ++j) {
    std::uint32_t sum;
    std::memcpy(&sum, sums + j, sizeof sum);
    sum -= of_weights * std::uint32_t(columns.sum[j]) + of_a * std::uint32_t(columns.above_middle[j]);
    y[j] = float(std::int32_t(sum)) * (a_scale * columns.scale[j]);
  }
}

}  // namespace

Buffer prepare_s8_q8_onednn(const PackedMatrix& weights) {
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
  Buffer bytes = onednn_weights(OnednnTypes::u8_s8_s32, n, k, codes.data(), columns_bytes(n));
  for (std::int64_t j = 0; j < n; ++j) {
    bytes.as<float>()[j] = weights.scales[std::size_t(weights.parameter_index(j, 0))];
    bytes.as<std::int32_t>()[n + j] = zero_of(weights, j, 0) - middle;
    bytes.as<std::int32_t>()[2 * n + j] = sums[std::size_t(j)];
  }
  return bytes;
}

void gemm_s8_q8_onednn(const GemmArgs& args) {
  thread_local std::vector<std::uint8_t> a_room;
  thread_local std::vector<float> y_room;
  const Columns columns = columns_at(args.w, args.n);
  const std::uint8_t* a = shifted_rows(args, a_room);
  float* sums = dense_results(args.y, args.m, args.n, args.y_stride, y_room);  // int32 for now
  const auto* w = static_cast<const std::byte*>(args.w) + columns_bytes(args.n);
  onednn_multiply({OnednnTypes::u8_s8_s32, args.m, args.n, args.k, a, w, sums, args.threads});
  parallel_for(args.m, args.threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) finish_row(args, columns, i, sums + i * args.n);
  });
}

}  // namespace qb
