#include "kernels/curves/curve_rows.h"
#include "kernels/curves/math_neon.h"

namespace qb {

void curves_neon(const CurveArgs& args) { fill_curve<NeonMath>(args); }

}  // namespace qb
