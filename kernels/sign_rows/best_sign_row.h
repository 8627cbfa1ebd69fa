// Which variant of kernels/sign_rows/sign_rows.h a host runs.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/sign_rows/sign_rows.h"

namespace qb {

SignRowFn best_sign_row(Isa isa);  ///< the best variant within `isa`

}  // namespace qb
