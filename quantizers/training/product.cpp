#include "quantizers/training/product.h"

#include "kernels/base/cpu.h"

namespace qb {

void add_product_ref(const ProductArgs& args) {
  for (std::int64_t i = 0; i < args.m; ++i) {
    float* c = args.c + i * args.c_row;
    for (std::int64_t p = 0; p < args.k; ++p) {
      const float a = args.a[i * args.a_row + p * args.a_column];
      const float* b = args.b + p * args.b_row;
      for (std::int64_t j = 0; j < args.n; ++j) c[j] += a * b[j];
    }
  }
}

void add_product(const ProductArgs& args) {
#ifdef __x86_64__
  static const bool has_avx2 = includes(host_isa(), Isa::avx2);
  if (has_avx2) return add_product_avx2(args);
#endif
  add_product_ref(args);
}

}  // namespace qb
