// How curves are computed under a set of instructions.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/curves/curves.h"

namespace qb {

CurveFn best_curves(Isa isa);  ///< the best variant within `isa`

}  // namespace qb
