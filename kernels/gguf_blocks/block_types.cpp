#include "kernels/gguf_blocks/block_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/scale_search.h"
#include "kernels/packed_matrix.h"

namespace qb {

namespace {

constexpr bool kOffsets = true, kImportance = true;
constexpr LevelSet kNone = LevelSet::none;

// name, id, weights, bytes, format, levels, group, zero, offsets, importance, activation, functions
constexpr BlockType kTypes[] = {
    {"q1_0", 41, 128, 18, "binaryg128.f16", LevelSet::binary, 128, 0, !kOffsets, !kImportance, "q8_0", quantize_q1_0,
     unpack_q1_0, pack_q1_0},
    {"q2_0", 42, 64, 18, "q2g64z.f16", kNone, 64, 1, !kOffsets, !kImportance, "q8_0", quantize_q2_0, unpack_q2_0,
     pack_q2_0},
    {"q4_0", 2, 32, 18, "q4g32.f16", kNone, 32, 8, !kOffsets, kImportance, "q8_0", quantize_q4_0, unpack_q4_0,
     pack_q4_0},
    {"q4_1", 3, 32, 20, "q4g32o.f16", kNone, 32, 0, kOffsets, kImportance, "q8_1", quantize_q4_1, unpack_q4_1,
     pack_q4_1},
    {"q5_0", 6, 32, 22, "q5g32.f16", kNone, 32, 16, !kOffsets, kImportance, "q8_0", quantize_q5_0, unpack_q5_0,
     pack_q5_0},
    {"q5_1", 7, 32, 24, "q5g32o.f16", kNone, 32, 0, kOffsets, kImportance, "q8_1", quantize_q5_1, unpack_q5_1,
     pack_q5_1},
    {"q8_0", 8, 32, 34, "q8g32.f16", kNone, 32, 128, !kOffsets, !kImportance, "q8_0", quantize_q8_0, unpack_q8_0,
     pack_q8_0},
    {"q8_1", 9, 32, 36, "", kNone, 32, 128, !kOffsets, !kImportance, "", quantize_q8_1, unpack_q8_1, nullptr},
    {"q8_K", 15, 256, 292, "", kNone, 256, 128, !kOffsets, !kImportance, "", quantize_q8_K, unpack_q8_K, nullptr},
    {"q2_K", 10, 256, 84, "q2g16o.i4", kNone, 16, 0, kOffsets, kImportance, "q8_K", quantize_q2_K, unpack_q2_K,
     pack_q2_K},
    {"q3_K", 11, 256, 110, "q3g16.i6", kNone, 16, 4, !kOffsets, kImportance, "q8_K", quantize_q3_K, unpack_q3_K,
     pack_q3_K},
    {"q4_K", 12, 256, 144, "q4g32o.i6", kNone, 32, 0, kOffsets, kImportance, "q8_K", quantize_q4_K, unpack_q4_K,
     pack_q4_K},
    {"q5_K", 13, 256, 176, "q5g32o.i6", kNone, 32, 0, kOffsets, kImportance, "q8_K", quantize_q5_K, unpack_q5_K,
     pack_q5_K},
    {"q6_K", 14, 256, 210, "q6g16.i8", kNone, 16, 32, !kOffsets, kImportance, "q8_K", quantize_q6_K, unpack_q6_K,
     pack_q6_K},
    {"iq4_nl", 20, 32, 18, "iq4nlg32.f16", LevelSet::iq4nl, 32, 0, !kOffsets, kImportance, "q8_0", quantize_iq4_nl,
     unpack_iq4_nl, pack_iq4_nl},
    {"iq4_xs", 23, 256, 136, "iq4nlg32.i6", LevelSet::iq4nl, 32, 0, !kOffsets, kImportance, "q8_K", quantize_iq4_xs,
     unpack_iq4_xs, pack_iq4_xs},
    {"tq1_0", 34, 256, 54, "tritg256.f16", LevelSet::trit, 256, 0, !kOffsets, !kImportance, "q8_K", quantize_tq1_0,
     unpack_tq1_0, pack_tq1_0},
    {"tq2_0", 35, 256, 66, "ternaryg256.f16", LevelSet::ternary, 256, 0, !kOffsets, !kImportance, "q8_K",
     quantize_tq2_0, unpack_tq2_0, pack_tq2_0},
    {"mxfp4", 39, 32, 17, "e2m1g32.e8m0", LevelSet::e2m1, 32, 0, !kOffsets, !kImportance, "q8_0", quantize_mxfp4,
     unpack_mxfp4, pack_mxfp4},
    {"nvfp4", 40, 64, 36, "e2m1g16.e4m3", LevelSet::e2m1, 16, 0, !kOffsets, !kImportance, "q8_0", quantize_nvfp4,
     unpack_nvfp4, pack_nvfp4},
};

void check_importance(std::span<const float> importance, std::int64_t k) {
  QB_EXPECTS(importance.empty() || std::ssize(importance) == k);
  for (std::size_t j = 0; j < importance.size(); ++j)
    if (!std::isfinite(importance[j]) || importance[j] < 0)
      throw DataError(fmt::format("importance {} of column {}: it must be finite and not negative", importance[j], j));
}

void check_row(const BlockType& type, std::span<const float> row, std::int64_t i) {
  const auto bad = std::find_if_not(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
  if (bad != row.end())
    throw DataError(fmt::format("quantizing to {}: the weight {} at row {}, column {} is not finite", type.name, *bad,
                                i, bad - row.begin()));
}

bool is_finite(const BlockParts& parts) { return std::isfinite(parts.scale) && std::isfinite(parts.offset); }

}  // namespace

std::span<const BlockType> block_types() { return kTypes; }

const BlockType& block_type(std::string_view name) {
  for (const BlockType& type : kTypes)
    if (type.name == name) return type;
  std::vector<std::string> names;
  for (const BlockType& type : kTypes) names.emplace_back(type.name);
  throw InputError(fmt::format("GGUF block type '{}' is not known{}", name, suggestion(name, names)));
}

const BlockType& block_type(int id) {
  for (const BlockType& type : kTypes)
    if (type.id == id) return type;
  throw DataError(fmt::format("GGUF tensor type {} is not one of the block types that can be read", id));
}

std::int64_t block_bytes(const BlockType& type, std::int64_t n, std::int64_t k) {
  QB_EXPECTS(n >= 0 && k >= 0);
  if (k % type.weights != 0)
    throw Unsupported(fmt::format("{} stores {} weights per block: rows of {} weights cannot be divided into blocks",
                                  type.name, type.weights, k));
  return n * (k / type.weights) * type.bytes;
}

std::vector<std::uint8_t> quantize_blocks(const BlockType& type, MatrixView<const float> weights,
                                          std::span<const float> importance) {
  std::vector<std::uint8_t> blocks(std::size_t(block_bytes(type, weights.rows, weights.cols)));
  check_importance(importance, weights.cols);
  const float* factors = type.has_importance && !importance.empty() ? importance.data() : nullptr;
  std::uint8_t* block = blocks.data();
  for (std::int64_t i = 0; i < weights.rows; ++i) {
    const std::span<const float> row(weights.row(i), std::size_t(weights.cols));
    check_row(type, row, i);
    const float mean_square = factors ? sum_of_squares(row) / float(weights.cols) : 0.0f;
    for (std::int64_t j = 0; j < weights.cols; j += type.weights, block += type.bytes) {
      type.quantize({row.data() + j, factors ? factors + j : nullptr, mean_square}, block);
      BlockParts parts;
      type.unpack(block, parts);
      if (!is_finite(parts))
        throw DataError(fmt::format(
            "quantizing to {}: the weights from row {}, column {} on are too large for its scale", type.name, i, j));
    }
  }
  return blocks;
}

BlockParts parts_of_block(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t index) {
  QB_EXPECTS(index >= 0 && (index + 1) * type.bytes <= std::ssize(blocks));
  BlockParts parts;
  type.unpack(blocks.data() + index * type.bytes, parts);
  if (!is_finite(parts)) throw DataError(fmt::format("{} block {}: its scale is not finite", type.name, index));
  if (const std::size_t levels = levels_of(type.levels).size(); levels > 0)
    for (int i = 0; i < type.weights; ++i)
      if (const int code = parts.codes[std::size_t(i)]; std::size_t(code) >= levels)
        throw DataError(fmt::format("{} block {}: code {} of weight {} has no meaning", type.name, index, code, i));
  return parts;
}

void dequantize_parts(const BlockType& type, const BlockParts& parts, float* values) {
  const std::span<const float> levels = levels_of(type.levels);
  for (int i = 0; i < type.weights; ++i) {
    const auto group = std::size_t(i / type.group);
    const std::uint8_t code = parts.codes[std::size_t(i)];
    const float number = levels.empty() ? float(code - type.zero) : levels[code];
    values[i] = parts.scale * float(parts.steps[group]) * number;
    if (type.has_offsets) values[i] += parts.offset * float(parts.offset_steps[group]);
  }
}

std::vector<float> dequantize_blocks(const BlockType& type, std::span<const std::uint8_t> blocks, std::int64_t n,
                                     std::int64_t k) {
  if (std::ssize(blocks) != block_bytes(type, n, k))
    throw DataError(fmt::format("{} matrix [{}, {}]: {} bytes instead of {}", type.name, n, k, blocks.size(),
                                block_bytes(type, n, k)));
  std::vector<float> values(std::size_t(n * k));
  for (std::int64_t block = 0; block * type.weights < std::ssize(values); ++block)
    dequantize_parts(type, parts_of_block(type, blocks, block), values.data() + block * type.weights);
  return values;
}

}  // namespace qb
