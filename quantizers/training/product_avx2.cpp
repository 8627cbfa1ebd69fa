// Tiles of four rows by 16 columns stay in registers over the whole depth. Columns beyond the end are masked.
#include <immintrin.h>

#include "quantizers/training/product.h"

namespace qb {
namespace {

alignas(32) constexpr std::int32_t kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

/// All ones in the first `count` lanes; count is taken as 0 below 0 and as 8 above 8.
__m256i lanes(std::int64_t count) {
  const std::int64_t kept = count < 0 ? 0 : count > 8 ? 8 : count;
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + 8 - kept));
}

template <int Rows, bool Whole>
void tile(const ProductArgs& args, std::int64_t i, std::int64_t j) {
  const __m256i low = lanes(args.n - j), high = lanes(args.n - j - 8);
  const auto load = [&](const float* from, __m256i mask) {
    return Whole ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, mask);
  };
  __m256 sum[Rows][2];
  for (int r = 0; r < Rows; ++r) {
    const float* c = args.c + (i + r) * args.c_row + j;
    sum[r][0] = load(c, low);
    sum[r][1] = load(c + 8, high);
  }
  const float* a = args.a + i * args.a_row;
  const float* b = args.b + j;
  for (std::int64_t p = 0; p < args.k; ++p, a += args.a_column, b += args.b_row) {
    const __m256 b0 = load(b, low), b1 = load(b + 8, high);
    for (int r = 0; r < Rows; ++r) {
      const __m256 factor = _mm256_broadcast_ss(a + r * args.a_row);
      sum[r][0] = _mm256_add_ps(sum[r][0], _mm256_mul_ps(factor, b0));
      sum[r][1] = _mm256_add_ps(sum[r][1], _mm256_mul_ps(factor, b1));
    }
  }
  for (int r = 0; r < Rows; ++r) {
    float* c = args.c + (i + r) * args.c_row + j;
    if (Whole) {
      _mm256_storeu_ps(c, sum[r][0]);
      _mm256_storeu_ps(c + 8, sum[r][1]);
    } else {
      _mm256_maskstore_ps(c, low, sum[r][0]);
      _mm256_maskstore_ps(c + 8, high, sum[r][1]);
    }
  }
}

template <bool Whole>
void columns(const ProductArgs& args, std::int64_t j) {
  std::int64_t i = 0;
  for (; i + 4 <= args.m; i += 4) tile<4, Whole>(args, i, j);
  switch (args.m - i) {
    case 3: tile<3, Whole>(args, i, j); break;
    case 2: tile<2, Whole>(args, i, j); break;
    case 1: tile<1, Whole>(args, i, j); break;
    default: break;
  }
}

}  // namespace

void add_product_avx2(const ProductArgs& args) {
  std::int64_t j = 0;
  for (; j + 16 <= args.n; j += 16) columns<true>(args, j);
  if (j < args.n) columns<false>(args, j);
}

}  // namespace qb
