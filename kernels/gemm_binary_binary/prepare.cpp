#include "kernels/gemm_binary_binary/prepare.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

namespace qb {

namespace {

constexpr std::int64_t kWord = 64;  // bits, of the reference and of what groups are multiples of

BinaryBinary describe(const PackedMatrix& weights) {
  BinaryBinary at{};
  at.group = weights.format.sharing == Sharing::group ? weights.format.group : round_up(weights.k, kWord);
  at.groups = groups_per_row(weights.format, weights.k);
  at.codes = 64;
  return at;
}

float scale_of(const PackedMatrix& weights, const BinaryBinary& at, std::int64_t j, std::int64_t g) {
  return weights.scales[std::size_t(weights.parameter_index(j, g * at.group))];
}

/// Row j, as packed: code 1 is bit 1, low bit first.
const std::uint8_t* bits_of_row(const PackedMatrix& weights, std::int64_t j) {
  return weights.codes.as<std::uint8_t>() + j * weights.row_bytes();
}

}  // namespace

bool gemm_binary_binary_accepts(const QuantFormat& format, std::int64_t k) {
  if (format.levels != LevelSet::binary || k > std::numeric_limits<std::int32_t>::max()) return false;
  return format.sharing != Sharing::group || format.group % kWord == 0;
}

Buffer prepare_binary_binary_ref(const PackedMatrix& weights) {
  BinaryBinary at = describe(weights);
  const std::int64_t row_bytes = round_up(weights.k, kWord) / 8;
  at.scale = at.codes + round_up(weights.n * row_bytes, 64);
  Buffer bytes(std::size_t(at.scale + 4 * weights.n * at.groups));
  *bytes.as<BinaryBinary>() = at;
  for (std::int64_t j = 0; j < weights.n; ++j) {
    std::memcpy(bytes.data() + at.codes + j * row_bytes, bits_of_row(weights, j), std::size_t(weights.row_bytes()));
    for (std::int64_t g = 0; g < at.groups; ++g)
      reinterpret_cast<float*>(bytes.data() + at.scale)[j * at.groups + g] = scale_of(weights, at, j, g);
  }
  return bytes;
}

Buffer prepare_binary_panels(const PackedMatrix& weights, const PanelShape& shape) {
  const BinaryBinary at = describe(weights);
  const std::int64_t bytes_per_column = round_up(weights.k, kWord) / 8 + 4 * at.groups, group_bytes = at.group / 8;
  Buffer bytes(std::size_t(at.codes + round_up(weights.n, shape.vector) * bytes_per_column));
  *bytes.as<BinaryBinary>() = at;
  for (std::int64_t j = 0; j < weights.n; ++j) {
    const std::int64_t first = j / shape.columns * shape.columns, column = j - first;
    const std::int64_t width = std::min(shape.columns, round_up(weights.n - first, shape.vector));
    const std::uint8_t* row = bits_of_row(weights, j);
    std::byte* panel = bytes.data() + at.codes + first * bytes_per_column;
    for (std::int64_t g = 0; g < at.groups; ++g) {
      const std::int64_t begin = g * group_bytes, end = std::min(begin + group_bytes, round_up(weights.k, kWord) / 8);
      std::byte* group = panel + width * (begin + 4 * g);
      for (std::int64_t b = begin; b < std::min(end, weights.row_bytes()); ++b) {
        const std::int64_t place = b - begin;
        group[place / shape.quad * width * shape.quad + column * shape.quad + place % shape.quad] = std::byte(row[b]);
      }
      reinterpret_cast<float*>(group + width * (end - begin))[column] = scale_of(weights, at, j, g);
    }
  }
  return bytes;
}

}  // namespace qb
