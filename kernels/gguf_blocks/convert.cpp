#include "kernels/gguf_blocks/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr float kE4m3Unit = 0x1p-9f;  // all E4M3 numbers are multiples of it: the steps of NVFP4's scales

bool has_integer_steps(ScaleType scale) {
  return scale == ScaleType::i4 || scale == ScaleType::i6 || scale == ScaleType::i8;
}

void append_parameters(const BlockType& type, const BlockParts& parts, UnpackedMatrix& matrix) {
  for (std::size_t group = 0; group < std::size_t(type.weights / type.group); ++group) {
    matrix.scales.push_back(parts.scale * float(parts.steps[group]));
    if (matrix.format.zeros) matrix.zeros.push_back(std::uint8_t(type.zero));
    if (matrix.format.offsets) matrix.offsets.push_back(parts.offset * float(parts.offset_steps[group]));
  }
  if (!has_integer_steps(matrix.format.scale)) return;
  matrix.super_scales.push_back(parts.scale);
  if (matrix.format.offsets) matrix.super_offsets.push_back(parts.offset);
}

/// The parameters of the block that begins at (row, column). Numbers without a counterpart are found by comparing
/// values.
BlockParts parts_from_packed(const BlockType& type, const PackedMatrix& matrix, std::int64_t row, std::int64_t column) {
  BlockParts parts;
  const ScaleType scale = matrix.format.scale;
  const std::int64_t super = row * supers_per_row(matrix.format, matrix.k) + column / kSuperGroup;
  const auto first = std::size_t(matrix.parameter_index(row, column));
  if (has_integer_steps(scale)) {
    parts.scale = matrix.super_scales[std::size_t(super)];
    if (type.has_offsets) parts.offset = matrix.super_offsets[std::size_t(super)];
  } else {
    parts.scale = scale == ScaleType::e4m3 ? kE4m3Unit : matrix.scales[first];
    if (type.has_offsets) parts.offset = matrix.offsets[first];
  }
  for (int group = 0; group < type.weights / type.group; ++group) {
    const std::int64_t of_row = column / type.group + group;
    auto& step = parts.steps[std::size_t(group)];
    auto& offset_step = parts.offset_steps[std::size_t(group)];
    if (has_integer_steps(scale)) {
      step = scale_step(matrix, row, of_row);
      if (type.has_offsets) offset_step = qb::offset_step(matrix, row, of_row);
    } else {
      step = scale == ScaleType::e4m3 ? int(std::lrint(matrix.scales[first + std::size_t(group)] / kE4m3Unit)) : 1;
      offset_step = 1;
    }
  }
  return parts;
}

}  // namespace

PackedMatrix packed_from_blocks(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t n,
                                std::int64_t k) {
  QB_EXPECTS(type.pack != nullptr);
  if (std::ssize(blocks) != block_bytes(type, n, k))
    throw DataError(fmt::format("{} matrix [{}, {}]: {} bytes instead of {}", type.name, n, k, blocks.size(),
                                block_bytes(type, n, k)));
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format(type.format);
  matrix.n = n;
  matrix.k = k;
  matrix.codes.reserve(std::size_t(n * k));
  for (std::int64_t block = 0; block < n * k / type.weights; ++block) {
    const BlockParts parts = parts_of_block(type, blocks, block);
    matrix.codes.insert(matrix.codes.end(), parts.codes.begin(), parts.codes.begin() + type.weights);
    append_parameters(type, parts, matrix);
  }
  if (matrix.format.scale == ScaleType::e4m3) matrix.super_scales = {1.0f};
  return pack(matrix);
}

std::vector<std::uint8_t> blocks_from_packed(const BlockType& type, const PackedMatrix& matrix) {
  QB_EXPECTS(type.pack != nullptr);
  if (to_text(matrix.format) != type.format)
    throw Unsupported(
        fmt::format("{} blocks store {} matrices; this one is {}", type.name, type.format, to_text(matrix.format)));
  std::vector<std::uint8_t> blocks(std::size_t(block_bytes(type, matrix.n, matrix.k)));
  std::vector<std::uint8_t> codes(std::size_t(matrix.k));
  std::vector<float> wanted(std::size_t(matrix.k)), values(std::size_t(type.weights));
  std::uint8_t* block = blocks.data();
  for (std::int64_t row = 0; row < matrix.n; ++row) {
    unpack_row(matrix, row, codes.data());
    dequantize_row(matrix, row, wanted.data());
    for (std::int64_t column = 0; column < matrix.k; column += type.weights, block += type.bytes) {
      BlockParts parts = parts_from_packed(type, matrix, row, column);
      std::copy_n(codes.begin() + column, type.weights, parts.codes.begin());
      type.pack(parts, block);
      BlockParts stored;
      type.unpack(block, stored);
      dequantize_parts(type, stored, values.data());
      if (!std::equal(values.begin(), values.end(), wanted.begin() + column))
        throw Unsupported(fmt::format("{} blocks cannot store the parameters at row {}, column {} of a {} matrix",
                                      type.name, row, column, type.format));
    }
  }
  return blocks;
}

}  // namespace qb
