// The best variants of what surrounds the products of a convolution.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/convolution/add_transposed.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/patch_rows.h"

namespace qb {

GatherRunsFn gather_runs(Isa isa);
AddTransposedFn add_transposed(Isa isa);
InPlace in_place_variant(const KernelInfo& kernel);            ///< its functions alone; null where the kernel has none
FloatWindows float_windows_variant(const KernelInfo& kernel);  ///< likewise

}  // namespace qb
