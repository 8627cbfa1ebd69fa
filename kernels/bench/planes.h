// What cells of planes have in common: input and scaling.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/bench/shapes.h"
#include "kernels/bench/subject.h"

namespace qb {

/// Activations of real networks mostly follow a ReLU: values of [0, 1) on codes from -128. A power of two, so that
/// multiplying by its inverse is dividing.
inline constexpr RowScaling kPlaneScaling = {RowScaling::Kind::fixed, 8, 0x1p-8f, -128};

/// Input [batch, channels, height, width] in [0, 1), the same at every call.
inline std::vector<float> random_planes(const Planes& planes) {
  std::vector<float> x = random_activations(1, planes.batch * planes.channels * planes.height * planes.width);
  for (float& value : x) value = std::abs(value);
  return x;
}

}  // namespace qb
