#include "kernels/bf16_rows/best_bf16_row.h"

namespace qb {

Bf16RowFn best_bf16_row([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return bf16_row_avx512;
  if (includes(isa, Isa::avx2)) return bf16_row_avx2;
#elif defined(__aarch64__)
  if (includes(isa, Isa::neon)) return bf16_row_neon;
#endif
  return bf16_row_ref;
}

}  // namespace qb
