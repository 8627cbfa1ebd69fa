#include "kernels/mx/packed_mx.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/base/error.h"

namespace qb {

namespace {

/// The level set whose codes are the element's bit patterns.
LevelSet level_set_of(const FloatFormat& format) {
  struct Pair {
    std::string_view format;
    LevelSet levels;
  };
  static constexpr Pair kPairs[] = {{kE4M3FN.name, LevelSet::e4m3},
                                    {kE5M2.name, LevelSet::e5m2},
                                    {kE3M2FN.name, LevelSet::e3m2},
                                    {kE2M3FN.name, LevelSet::e2m3},
                                    {kE2M1FN.name, LevelSet::e2m1}};
  for (const Pair& pair : kPairs)
    if (pair.format == format.name) return pair.levels;
  return LevelSet::none;
}

QuantFormat level_format(LevelSet levels, std::int64_t group, ScaleType scale) {
  return {.kind = CodeKind::levels,
          .bits = bits_of(levels),
          .sharing = Sharing::group,
          .group = group,
          .levels = levels,
          .scale = scale};
}

}  // namespace

PackedMatrix packed_from_mx(const MxMatrix& matrix) {
  const bool integer = matrix.element.integer_bits > 0;
  QB_EXPECTS(integer ? matrix.element.integer_bits == 8 : level_set_of(matrix.element.format) != LevelSet::none);
  UnpackedMatrix unpacked;
  unpacked.n = matrix.rows;
  unpacked.k = matrix.cols;
  unpacked.format = integer ? parse_quant_format("q8g32.e8m0")
                            : level_format(level_set_of(matrix.element.format), kMxBlock, ScaleType::e8m0);
  unpacked.codes = matrix.codes;
  if (integer)
    for (std::uint8_t& code : unpacked.codes) code ^= 0x80;
  const std::int64_t blocks = groups_per_row(unpacked.format, matrix.cols);
  for (std::size_t i = 0; i < matrix.scales.size(); ++i) {
    if (matrix.scales[i] == 255)
      throw DataError(fmt::format("{} matrix: block {} of row {} is not a number, so it held a NaN or an infinity",
                                  matrix.element.name, std::int64_t(i) % blocks, std::int64_t(i) / blocks));
    const float scale = decode(kE8M0FNU, matrix.scales[i]);
    unpacked.scales.push_back(integer ? std::ldexp(scale, -6) : scale);
  }
  return pack(unpacked);
}

PackedMatrix packed_from_nvfp4(const Nvfp4Matrix& matrix) {
  UnpackedMatrix unpacked;
  unpacked.n = matrix.rows;
  unpacked.k = matrix.cols;
  unpacked.format = level_format(LevelSet::e2m1, kNvfp4Block, ScaleType::e4m3);
  unpacked.codes = matrix.codes;
  unpacked.super_scales = {matrix.tensor_scale};
  for (const std::uint8_t scale : matrix.scales)
    unpacked.scales.push_back(decode(kE4M3FN, scale) * matrix.tensor_scale);
  return pack(unpacked);
}

}  // namespace qb
