#include "kernels/convolution/patch_rows.h"

#include <cstring>

namespace qb {

namespace {

constexpr std::int64_t kChunk = 16;

using Bytes = std::int8_t __attribute__((vector_size(16)));

Bytes load(const std::int8_t* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

Bytes low_pairs(Bytes a, Bytes b) {
  return __builtin_shuffle(a, b, Bytes{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
}

Bytes high_pairs(Bytes a, Bytes b) {
  return __builtin_shuffle(a, b, Bytes{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
}

/// Sixteen rows of sixteen become columns: four rounds that each bring row i beside row i + 8.
void transpose_block(Bytes* rows) {
  for (int round = 0; round < 4; ++round) {
    Bytes next[16];
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = low_pairs(rows[i], rows[i + 8]);
      next[2 * i + 1] = high_pairs(rows[i], rows[i + 8]);
    }
    std::memcpy(rows, next, sizeof next);
  }
}

}  // namespace

void gather_runs_portable(const GatherRunsArgs& args) {
  const std::int64_t k = args.runs * args.run_bytes, padded = (k + 63) / 64 * 64;
  for (std::int64_t i = 0; i < args.count; ++i) {
    const std::int8_t* window = args.from + i * args.from_step;
    std::int8_t* row = args.to + i * args.to_stride;
    for (std::int64_t r = 0; r < args.runs; ++r)
      for (std::int64_t t = 0; t < args.run_bytes; t += kChunk)  // the next run, or the padding, overwrites the rest
        std::memcpy(row + r * args.run_bytes + t, window + args.run_offset[r] + t, kChunk);
    std::memset(row + k, args.zero, std::size_t(padded - k));
  }
}

void interleave_planes(const std::int8_t* planes, std::int64_t plane_stride, std::int64_t channels, std::int64_t count,
                       std::int8_t* to, std::int64_t pixel_stride) {
  if (channels == 1 && pixel_stride == 1) {
    if (count > 0) std::memcpy(to, planes, std::size_t(count));
    return;
  }
  for (std::int64_t i = 0; i < count; i += kChunk) {
    Bytes block[16] = {};
    for (std::int64_t c = 0; c < channels; ++c) block[c] = load(planes + c * plane_stride + i);
    transpose_block(block);
    const std::int64_t pixels = count - i < kChunk ? count - i : kChunk;
    for (std::int64_t p = 0; p < pixels; ++p) {
      if (channels == 16)
        std::memcpy(to + (i + p) * pixel_stride, &block[p], 16);
      else
        std::memcpy(to + (i + p) * pixel_stride, &block[p], std::size_t(channels));
    }
  }
}

}  // namespace qb
