#include <algorithm>
#include <bit>

#include "kernels/peers/dense_rows.h"
#include "kernels/peers/integer_columns.h"
#include "kernels/peers/onednn_matmul.h"
#include "kernels/peers/peers.h"

namespace qb {

namespace {

/// oneDNN 2.6.3 carries the sums of s8 * s8 through float32: those of 2^24 and more may be rounded.
bool may_be_rounded(const float* products, std::int64_t count) {
  constexpr std::int32_t kExact = 1 << 24;
  return std::any_of(products, products + count, [](float bits) {
    const auto sum = std::bit_cast<std::int32_t>(bits);
    return sum >= kExact || sum <= -kExact;
  });
}

}  // namespace

Buffer prepare_s8_q8_onednn_s8s8(const PackedMatrix& weights) {
  return integer_columns(OnednnTypes::s8_s8_s32, weights);
}

/// Again as u8 * s8 where a sum may have been rounded.
void gemm_s8_q8_onednn_s8s8(const GemmArgs& args) {
  thread_local std::vector<std::int8_t> a_room;
  thread_local std::vector<float> y_room;
  const auto* a = dense_rows(static_cast<const std::int8_t*>(args.a), args.m, args.k, args.a_stride, a_room);
  float* products = dense_results(args.y, args.m, args.n, args.y_stride, y_room);  // int32 for now
  onednn_multiply({OnednnTypes::s8_s8_s32, args.m, args.n, args.k, a, library_weights(args), products, args.threads});
  if (may_be_rounded(products, args.m * args.n)) return gemm_s8_q8_onednn(args);
  scale_products(args, /*shift=*/0, products);
}

}  // namespace qb
