#include "kernels/curves/curve_rows.h"
#include "kernels/curves/math_avx512.h"

namespace qb {

void curves_avx512(const CurveArgs& args) { fill_curve<Avx512Math>(args); }

}  // namespace qb
