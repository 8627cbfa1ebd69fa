#include <cmath>

#include "kernels/curves/curves.h"

namespace qb {

namespace {

double value_of(const CurveArgs& args, double x) {
  switch (args.curve) {
    case Curve::sigmoid: return 1 / (1 + std::exp(-x));
    case Curve::swish: return x / (1 + std::exp(-double(args.alpha) * x));
    case Curve::tanh: return std::tanh(x);
    case Curve::erf: return std::erf(x);
    case Curve::gelu: return 0.5 * x * (1 + std::erf(x * 0.70710678118654752440));
    case Curve::gelu_tanh: return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

}  // namespace

void curves_ref(const CurveArgs& args) {
  for (std::int64_t i = 0; i < args.count; ++i) args.y[i] = float(value_of(args, double(args.x[i])));
}

}  // namespace qb
