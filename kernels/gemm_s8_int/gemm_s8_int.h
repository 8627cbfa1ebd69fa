// Product of 8-bit activations and integer weights of 1 to 4 bits with one scale per group along k, or per channel.
//
// Prepared layout: the struct S8Q4 below, then at the offsets it names
// - reference: codes [n, k] as bytes, scale [n, groups] float32, zero [n, groups] int32.
// - variants: k is cut into chunks of 32 (16 where the group is no multiple of 32), groups into whole chunks. Panels of
// 32
//   columns (avx512vnni, vectors of 16) or 8 (avx2, vectors of 8), the last as narrow as whole vectors allow. In a
//   panel, for each group: its chunks, then one float32 scale per column. In a chunk, for each vector: chunk / 8 lines
//   of [column][4] bytes; line i holds codes 4 i .. 4 i + 3 of the chunk in the low halves and those chunk / 2 later in
//   the high halves. So what a row needs lies in one rising stream. Stored zeros follow in an array of their own,
//   [panel][group][column] int32. Padding holds code 0, which adds nothing whatever the activation.
//
// Source: group-wise weight grids as evaluated by Frantar et al., GPTQ (arXiv:2210.17323), section 4. The layout is our
// own.
#pragma once
#include "kernels/gemm_args.h"

namespace qb {

/// How the prepared bytes lie; offsets in bytes from the struct, multiples of 64.
struct S8Q4 {
  std::int64_t group;         ///< weights per scale; k for one scale per channel
  std::int64_t groups;        ///< per row
  std::int64_t chunk;         ///< 16 or 32
  std::int64_t middle_shift;  ///< real zero is code 1 << middle_shift, unless zeros are stored
  std::int64_t codes;
  std::int64_t scale;  ///< reference only
  std::int64_t zero;   ///< 0: none are stored (the reference always has them)
};

/// y[i, j] = a_scale[i] * sum over groups g of float(dot(i, j, g)) * scale[j, g], where
/// dot(i, j, g) = sum over t in g of (a[i, t] - a_zero[i]) * (code[j, t] - zero[j, g])
///
/// Shapes     as named in GemmArgs; m >= 1; rows of a padded with a_zero; a_group_sum [m, groups].
/// Numbers    a in [-128, 127], code in [0, 15], every value allowed. Each dot is exact in int32 (prepare() refuses a
/// group
///            at which it could not be) and becomes float32 by rounding to nearest even. Groups are summed in rising
///            order by one fused multiply-add each, starting from 0; a_scale is multiplied last. All variants agree bit
///            for bit.
/// Errors     none: arguments are checked by gemm() before dispatch.
/// Threads    single-threaded and reentrant; gemm() splits columns or rows.
void gemm_s8_q4_ref(const GemmArgs& args);
void gemm_s8_q4_avx2(const GemmArgs& args);
void gemm_s8_q4_avx512vnni(const GemmArgs& args);

}  // namespace qb
