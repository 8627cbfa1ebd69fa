#include "kernels/convolution/add_transposed.h"

#include <cstring>

namespace qb {

namespace {

using Quad = float __attribute__((vector_size(16)));
using QuadMask = std::int32_t __attribute__((vector_size(16)));

Quad load(const float* from) {
  Quad quad;
  std::memcpy(&quad, from, sizeof quad);
  return quad;
}

/// Four rows of four become four columns of four.
void transpose_block(const float* from, std::int64_t from_stride, const float* bias, float* to,
                     std::int64_t to_stride) {
  const Quad a = load(from), b = load(from + from_stride), c = load(from + 2 * from_stride),
             d = load(from + 3 * from_stride);
  const Quad ab_low = __builtin_shuffle(a, b, QuadMask{0, 4, 1, 5}),
             ab_high = __builtin_shuffle(a, b, QuadMask{2, 6, 3, 7});
  const Quad cd_low = __builtin_shuffle(c, d, QuadMask{0, 4, 1, 5}),
             cd_high = __builtin_shuffle(c, d, QuadMask{2, 6, 3, 7});
  Quad columns[4] = {__builtin_shuffle(ab_low, cd_low, QuadMask{0, 1, 4, 5}),
                     __builtin_shuffle(ab_low, cd_low, QuadMask{2, 3, 6, 7}),
                     __builtin_shuffle(ab_high, cd_high, QuadMask{0, 1, 4, 5}),
                     __builtin_shuffle(ab_high, cd_high, QuadMask{2, 3, 6, 7})};
  for (int j = 0; j < 4; ++j) {
    if (bias) columns[j] += bias[j];
    std::memcpy(to + j * to_stride, &columns[j], sizeof(Quad));
  }
}

}  // namespace

void add_transposed_portable(const AddTransposedArgs& args) {
  const float *from = args.from, *bias = args.bias;
  const std::int64_t whole_rows = args.rows / 4 * 4, whole_columns = args.columns / 4 * 4;
  for (std::int64_t i = 0; i < whole_rows; i += 4)
    for (std::int64_t j = 0; j < whole_columns; j += 4)
      transpose_block(from + i * args.from_stride + j, args.from_stride, bias ? bias + j : nullptr,
                      args.to + j * args.to_stride + i, args.to_stride);
  for (std::int64_t i = 0; i < args.rows; ++i)
    for (std::int64_t j = i < whole_rows ? whole_columns : 0; j < args.columns; ++j)
      args.to[j * args.to_stride + i] = from[i * args.from_stride + j] + (bias ? bias[j] : 0.0f);
}

}  // namespace qb
