#include "kernels/bench/random_matrix.h"

#include <cmath>

#include "kernels/base/random.h"
#include "kernels/base/small_floats.h"
#include "kernels/levels.h"

namespace qb {

namespace {

/// The codes of a format that mean a finite value.
std::vector<std::uint8_t> valid_codes(const QuantFormat& format) {
  std::vector<std::uint8_t> codes;
  const auto levels = levels_of(format.levels);
  const int count = format.kind == CodeKind::levels ? int(levels.size()) : 1 << format.bits;
  for (int code = 0; code < count; ++code)
    if (format.kind != CodeKind::levels || std::isfinite(levels[std::size_t(code)]))
      codes.push_back(std::uint8_t(code));
  return codes;
}

void draw_codes(UnpackedMatrix& matrix, Random& random, Fill fill) {
  const std::vector<std::uint8_t> valid = valid_codes(matrix.format);
  matrix.codes.resize(std::size_t(matrix.n * matrix.k));
  for (std::uint8_t& code : matrix.codes) {
    code = valid[random.below(valid.size())];
    if (fill == Fill::lowest) code = valid.front();
    if (fill == Fill::highest || fill == Fill::opposed) code = valid.back();
    if (fill == Fill::single) code = valid[valid.size() / 2];
  }
  if (fill == Fill::single)
    for (std::int64_t j = 0; j < matrix.n; ++j) matrix.codes[std::size_t(j * matrix.k + matrix.k - 1)] = valid.back();
}

float f16_uniform(Random& random, double low, double high) {
  return f32_from_f16(f16_from_f32(float(random.uniform(low, high))));
}

/// Scales (or offsets) of one matrix as its scale type stores them, with their supers.
void draw_parameters(const UnpackedMatrix& matrix, double sign, Random& random, std::vector<float>& values,
                     std::vector<float>& supers) {
  const std::int64_t groups = groups_per_row(matrix.format, matrix.k);
  const std::int64_t per_row = supers_per_row(matrix.format, matrix.k);
  for (std::int64_t i = 0; i < matrix.n * per_row; ++i) supers.push_back(f16_uniform(random, 0.0001, 0.002));
  if (matrix.format.scale == ScaleType::e4m3) supers.push_back(0.37f);
  const std::int64_t sharers = matrix.format.sharing == Sharing::tensor ? 1 : matrix.n * groups;
  for (std::int64_t i = 0; matrix.format.scale == ScaleType::dq8 && i < sharers; i += kScaleBlock)
    supers.push_back(float(random.uniform(0.001, 0.04)));
  const auto eighths = levels_of(LevelSet::e4m3);
  for (std::int64_t i = 0; i < sharers; ++i) {
    const auto super = [&] {
      return supers[std::size_t(i / groups * per_row + i % groups * matrix.format.group / kSuperGroup)];
    };
    switch (matrix.format.scale) {
      case ScaleType::dq8:
        values.push_back(dynamic_levels()[random.below(256)] * supers[std::size_t(i / kScaleBlock)] + 0.05f);
        break;
      case ScaleType::f32: values.push_back(float(sign * random.uniform(0.001, 0.1))); break;
      case ScaleType::f16: values.push_back(float(sign) * f16_uniform(random, 0.001, 0.1)); break;
      case ScaleType::e8m0: values.push_back(std::ldexp(1.0f, -int(random.below(8)) - 2)); break;
      case ScaleType::e4m3: values.push_back(eighths[8 + random.below(48)] * supers[0]); break;
      case ScaleType::i4: values.push_back(float(int(random.below(16))) * super()); break;
      case ScaleType::i6: values.push_back(float(int(random.below(64))) * super()); break;
      case ScaleType::i8: values.push_back(float(int(random.below(256)) - 128) * super()); break;
    }
  }
}

}  // namespace

PackedMatrix random_weights(const QuantFormat& format, std::int64_t n, std::int64_t k, std::uint64_t seed, Fill fill) {
  Random random(seed, /*stream=*/1);
  if (is_float(format.kind)) {
    std::vector<float> values(std::size_t(n * k));
    for (float& value : values) value = float(random.uniform(-1.0, 1.0));
    return (format.kind == CodeKind::f32 ? pack_f32 : pack_bf16)({values.data(), n, k, k});
  }
  UnpackedMatrix matrix;
  matrix.format = format;
  matrix.n = n;
  matrix.k = k;
  draw_codes(matrix, random, fill);
  const std::size_t sharers = format.sharing == Sharing::tensor ? 1 : std::size_t(n * groups_per_row(format, k));
  if (format.kind == CodeKind::table) {
    matrix.table.resize((format.offsets ? std::size_t(n) : sharers) << format.bits);
    for (float& level : matrix.table) level = float(random.uniform(-1.0, 1.0));
    if (!format.offsets) return pack(matrix);
  }
  draw_parameters(matrix, 1.0, random, matrix.scales, matrix.super_scales);
  if (format.offsets) draw_parameters(matrix, -1.0, random, matrix.offsets, matrix.super_offsets);
  if (format.scale == ScaleType::dq8) matrix.super_offsets = {0.05f};
  if (format.zeros) matrix.zeros.resize(sharers);
  for (std::uint8_t& zero : matrix.zeros) zero = std::uint8_t(random.below(std::uint64_t(1) << format.bits));
  return pack(matrix);
}

}  // namespace qb
