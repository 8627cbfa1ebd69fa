// What Q2_K, Q4_K and Q5_K share: 256 weights in groups with an integer scale and an integer minimum each, which a
// float16 per block multiplies. value = (d * step) * code - dmin * minimum step
#pragma once
#include "kernels/gguf_blocks/block_types.h"
#include "kernels/gguf_blocks/scale_search.h"

namespace qb {

struct AffineSuperBlock {
  int group;              ///< weights per group: 16 or 32
  int largest_code;       ///< codes are in [0, largest_code]
  int largest_step;       ///< and steps in [0, largest_step]
  AffineSearch search;    ///< without importances
  bool rms_in_weights;    ///< error weights without importances: |x|, plus the group's root mean square if true
  float variance_factor;  ///< with importances: of the block's mean square in importance_weights()
};

/// Searches scale and minimum of each group, rounds them to steps (with importances by another search), and then rounds
/// the weights once more to the values that decoding will give. A group whose scale decodes to 0 keeps its first codes.
void quantize_affine_super_block(const BlockInput& input, const AffineSuperBlock& shape, BlockParts& parts);

/// Eight steps and eight minimum steps of 6 bits in 12 bytes, as Q4_K and Q5_K store them.
void pack_six_bit_pairs(const BlockParts& parts, std::uint8_t* bytes);
void unpack_six_bit_pairs(const std::uint8_t* bytes, BlockParts& parts);

}  // namespace qb
