// What the types with 32 weights per block share: one scale, and for some an offset, without super-blocks.
#pragma once
#include "kernels/gguf_blocks/block_types.h"

namespace qb {

/// Codes in [0, 2 * limit) with value (code - limit) * scale. Without importances the value of largest magnitude gets
/// code 0 exactly, so the scale has the opposite sign; with them the scale is searched.
void quantize_around_zero(const BlockInput& input, int limit, BlockParts& parts);

/// Codes in [0, largest] with value code * scale + offset, from the least value to the greatest, or searched.
void quantize_from_minimum(const BlockInput& input, int largest, BlockParts& parts);

/// Codes in [1, 255] with value (code - 128) * scale, scale = largest magnitude / 127, ties away from zero.
void quantize_eight_bits(const BlockInput& input, BlockParts& parts);

}  // namespace qb
