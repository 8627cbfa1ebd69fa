#include "kernels/gemm_bf16_bf16/prepare.h"
#include "kernels/peers/dense_rows.h"
#include "kernels/peers/onednn_matmul.h"
#include "kernels/peers/peers.h"

namespace qb {

Buffer prepare_bf16_bf16_onednn(const PackedMatrix& weights) {
  const Buffer rows = prepare_bf16_bf16_ref(weights);
  return onednn_weights(OnednnTypes::bf16, weights.n, weights.k, rows.data(), /*front=*/0);
}

void gemm_bf16_bf16_onednn(const GemmArgs& args) {
  thread_local std::vector<std::uint16_t> a_room;
  thread_local std::vector<float> y_room;
  const auto* a = dense_rows(static_cast<const std::uint16_t*>(args.a), args.m, args.k, args.a_stride, a_room);
  float* y = dense_results(args.y, args.m, args.n, args.y_stride, y_room);
  onednn_multiply({OnednnTypes::bf16, args.m, args.n, args.k, a, args.w, y, args.threads});
  for (std::int64_t i = 0; y != args.y && i < args.m; ++i)
    std::copy_n(y + i * args.n, args.n, args.y + i * args.y_stride);
}

}  // namespace qb
