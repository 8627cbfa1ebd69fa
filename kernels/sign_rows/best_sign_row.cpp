#include "kernels/sign_rows/best_sign_row.h"

namespace qb {

SignRowFn best_sign_row([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return sign_row_avx512;
  if (includes(isa, Isa::avx2)) return sign_row_avx2;
#elif defined(__aarch64__)
  if (includes(isa, Isa::neon)) return sign_row_neon;
#endif
  return sign_row_ref;
}

}  // namespace qb
