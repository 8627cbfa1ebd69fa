#include "kernels/curves/best_curves.h"

namespace qb {

CurveFn best_curves([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return curves_avx512;
  if (includes(isa, Isa::avx2)) return curves_avx2;
#elif defined(__aarch64__)
  if (includes(isa, Isa::neon)) return curves_neon;
#endif
  return curves_ref;
}

}  // namespace qb
