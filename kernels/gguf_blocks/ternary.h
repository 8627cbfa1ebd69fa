// What the two ternary block types share.
#pragma once
#include <cmath>

#include "kernels/gguf_blocks/block_types.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

/// 256 codes in 0..2 with value (code - 1) * largest magnitude, ties away from zero.
inline void quantize_ternary(const BlockInput& input, BlockParts& parts) {
  parts.scale = largest_magnitude({input.x, 256});
  parts.steps[0] = 1;
  const float inverse = parts.scale != 0 ? 1 / parts.scale : 0.0f;
  for (std::size_t i = 0; i < 256; ++i)
    parts.codes[i] = std::uint8_t(1 + truncated(std::round(input.x[i] * inverse), -1, 1));
}

}  // namespace qb
