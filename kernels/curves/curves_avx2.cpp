#include "kernels/curves/curve_rows.h"
#include "kernels/curves/math_avx2.h"

namespace qb {

void curves_avx2(const CurveArgs& args) { fill_curve<Avx2Math>(args); }

}  // namespace qb
