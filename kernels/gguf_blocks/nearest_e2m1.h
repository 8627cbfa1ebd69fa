// E2M1 as ggml rounds to it, for MXFP4 and NVFP4.
#pragma once
#include <cmath>
#include <cstdint>
#include <span>

#include "kernels/levels.h"

namespace qb {

/// The code of the level nearest to x / scale, compared in float32; of equally near ones that of the lower code, hence
/// the lower magnitude, and never minus zero.
inline std::uint8_t nearest_e2m1(float x, float scale) {
  std::uint8_t best = 0;
  float least = std::abs(kE2m1Levels[0] * scale - x);
  for (std::uint8_t code = 1; code < 16; ++code) {
    const float error = std::abs(kE2m1Levels[code] * scale - x);
    if (!(error < least)) continue;
    best = code;
    least = error;
  }
  return best;
}

/// ggml reads the code of minus zero as zero.
inline void drop_minus_zeros(std::span<std::uint8_t> codes) {
  for (std::uint8_t& code : codes)
    if (code == 8) code = 0;
}

}  // namespace qb
