// The blocks in which GGUF files store weights: so many weights, so many bytes, in one fixed layout each.
//
// A block is codes and their scales. Whatever its bits mean, unpacking it gives BlockParts, and these give the values
// by one formula; quantizing goes the other way. The bytes are those that ggml writes, bit for bit (float32 arithmetic,
// sums from left to right, no fused multiply-add). Layouts and search procedures: ggml-org/ggml at d99724f2,
// ggml-common.h and ggml-quants.c.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/base/tensor.h"
#include "kernels/quant_format.h"

namespace qb {

inline constexpr int kMaxBlockWeights = 256, kMaxBlockGroups = 16;

/// One block, unpacked. Group g is weights [g * group, (g + 1) * group) and has the scale `scale * steps[g]` and the
/// offset `offset * offset_steps[g]`, both rounded to float32.
struct BlockParts {
  std::array<std::uint8_t, kMaxBlockWeights> codes{};
  float scale = 0, offset = 0;
  std::array<std::int32_t, kMaxBlockGroups> steps{};  ///< 1 in types with one scale per block
  std::array<std::int32_t, kMaxBlockGroups> offset_steps{};
};

/// What a block is made of. All weights and importances are finite, importances >= 0.
struct BlockInput {
  const float* x;           ///< [weights]
  const float* importance;  ///< [weights], or null
  float row_mean_square;    ///< of the row of the matrix; only with importance
};

/// One block type: what the file format fixes, and how to make and read a block.
struct BlockType {
  std::string_view name;    ///< "q4_0"
  int id;                   ///< the tensor type number in GGUF files
  int weights, bytes;       ///< of one block
  std::string_view format;  ///< of an equal PackedMatrix, as QuantFormat's text; see convert.h
  LevelSet levels;  ///< value = level[code] * scale; none: (code - zero) * scale, plus the offset if there is one
  int group;        ///< weights per scale
  int zero;         ///< the code of 0
  bool has_offsets;
  bool has_importance;          ///< quantize() heeds BlockInput::importance
  std::string_view activation;  ///< the type that dot products quantize the other operand to; empty: this is one
  void (*quantize)(const BlockInput& input, std::uint8_t* block);
  void (*unpack)(const std::uint8_t* block, BlockParts& parts);
  void (*pack)(const BlockParts& parts, std::uint8_t* block);  ///< null for activation types
};

std::span<const BlockType> block_types();
const BlockType& block_type(std::string_view name);  ///< throws InputError naming the nearest
const BlockType& block_type(int id);                 ///< throws DataError

/// Bytes of n rows of k weights. Throws Unsupported when k is not a multiple of the block.
std::int64_t block_bytes(const BlockType& type, std::int64_t n, std::int64_t k);

/// The blocks of a matrix [n, k], row by row; single-threaded, and rows do not depend on each other. `importance` is
/// empty or [k], the mean square of each input of the layer, and ignored by types that do not heed it.
///
/// Throws Unsupported as block_bytes() does; DataError for weights that are not finite or too large for the type's
/// scales, and for importances that are negative or not finite.
std::vector<std::uint8_t> quantize_blocks(const BlockType& type, MatrixView<const float> weights,
                                          std::span<const float> importance = {});

/// The values [n, k]. Throws DataError when `blocks` has another size than block_bytes() or holds a scale that is not
/// finite or a code without a meaning.
std::vector<float> dequantize_blocks(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t n,
                                     std::int64_t k);

/// The parts of block `index` of `blocks`, checked as dequantize_blocks() says.
BlockParts parts_of_block(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t index);

/// The values [weights] of one block.
void dequantize_parts(const BlockType& type, const BlockParts& parts, float* values);

}  // namespace qb
