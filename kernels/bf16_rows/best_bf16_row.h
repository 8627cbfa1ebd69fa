// How rows become bf16 under a set of instructions.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

Bf16RowFn best_bf16_row(Isa isa);  ///< the best variant within `isa`

}  // namespace qb
