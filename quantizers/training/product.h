// The one matrix product that training spends its time in.
#pragma once
#include <cstdint>

namespace qb {

/// Operands as raw memory: this header is compiled under every instruction-set flag.
struct ProductArgs {
  std::int64_t m, n, k;  ///< c is [m, n]; k is the depth; all >= 1
  const float* a;        ///< element (i, p) is a[i * a_row + p * a_column]
  std::int64_t a_row, a_column;
  const float* b;  ///< [k, n], row stride b_row
  std::int64_t b_row;
  float* c;  ///< [m, n], row stride c_row; must not overlap a or b
  std::int64_t c_row;
};

/// c[i,j] = (((c[i,j] + a[i,0] b[0,j]) + a[i,1] b[1,j]) + ...): added in rising order of p, each product and each sum
/// rounded to float32, so that every variant gives the same bits. Single-threaded and reentrant.
void add_product_ref(const ProductArgs& args);
void add_product_avx2(const ProductArgs& args);  ///< x86-64 with avx2; no fused multiply-add

void add_product(const ProductArgs& args);  ///< the best variant that host_isa() allows

}  // namespace qb
