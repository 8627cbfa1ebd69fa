// The best variants of what surrounds the products of a convolution.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/convolution/add_transposed.h"
#include "kernels/convolution/patch_rows.h"

namespace qb {

GatherRunsFn gather_runs(Isa isa);
AddTransposedFn add_transposed(Isa isa);

}  // namespace qb
