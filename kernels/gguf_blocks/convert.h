// Block types and PackedMatrix: the same codes and scales in another order.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/gguf_blocks/block_types.h"
#include "kernels/packed_matrix.h"

namespace qb {

/// The matrix [n, k] of `blocks` in the format of type.format; dequantize() of it gives the same bits as
/// dequantize_blocks(). Not for activation types. Throws as dequantize_blocks() does.
PackedMatrix packed_from_blocks(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t n,
                                std::int64_t k);

/// The inverse: blocks that decode to equal values, and to the same bytes but for scales of value 0 and codes of minus
/// zero. Throws Unsupported when the matrix has another format, its rows are no multiple of the block, or it holds
/// numbers that the type cannot store (steps out of range, a tensor scale, other zero points).
std::vector<std::uint8_t> blocks_from_packed(const BlockType& type, const PackedMatrix& matrix);

}  // namespace qb
