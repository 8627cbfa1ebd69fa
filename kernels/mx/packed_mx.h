// MX and NVFP4 matrices as PackedMatrix, so that kernels can multiply by them: the same codes and scales, nothing
// rounded.
#pragma once
#include "kernels/mx/mx_blocks.h"
#include "kernels/mx/nvfp4.h"
#include "kernels/packed_matrix.h"

namespace qb {

/// In the format e4m3g32.e8m0, e5m2g32.e8m0, e3m2g32.e8m0, e2m3g32.e8m0, e2m1g32.e8m0, or for mxint8 q8g32.e8m0 with
/// scales 2^-6 times those of the blocks. Throws DataError for a block whose scale is NaN, naming it.
PackedMatrix packed_from_mx(const MxMatrix& matrix);

/// In the format e2m1g16.e4m3.
PackedMatrix packed_from_nvfp4(const Nvfp4Matrix& matrix);

}  // namespace qb
