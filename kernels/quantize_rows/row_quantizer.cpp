#include "kernels/quantize_rows/row_quantizer.h"

namespace qb {

RowQuantizer row_quantizer([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512))
    return {quantize_row_avx512, absolute_maximum_avx512, sum_groups_avx512, quantize_groups_avx512};
  if (includes(isa, Isa::avx2))
    return {quantize_row_avx2, absolute_maximum_avx2, sum_groups_avx2, quantize_groups_avx2};
#elif defined(__aarch64__)
  if (includes(isa, Isa::neon))
    return {quantize_row_neon, absolute_maximum_neon, sum_groups_neon, quantize_groups_neon};
#endif
  return {quantize_row_ref, absolute_maximum_ref, sum_groups_ref, quantize_groups_ref};
}

}  // namespace qb
