#include "kernels/base/parallel.h"
#include "kernels/peers/dense_rows.h"
#include "kernels/peers/integer_columns.h"
#include "kernels/peers/onednn_matmul.h"
#include "kernels/peers/peers.h"

namespace qb {

namespace {

constexpr std::int32_t kShift = 128;  // from int8 activations to uint8

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

}  // namespace

Buffer prepare_s8_q8_onednn(const PackedMatrix& weights) { return integer_columns(OnednnTypes::u8_s8_s32, weights); }

void gemm_s8_q8_onednn(const GemmArgs& args) {
  thread_local std::vector<std::uint8_t> a_room;
  thread_local std::vector<float> y_room;
  const std::uint8_t* a = shifted_rows(args, a_room);
  float* products = dense_results(args.y, args.m, args.n, args.y_stride, y_room);  // int32 for now
  onednn_multiply({OnednnTypes::u8_s8_s32, args.m, args.n, args.k, a, library_weights(args), products, args.threads});
  scale_products(args, kShift, products);
}

}  // namespace qb
